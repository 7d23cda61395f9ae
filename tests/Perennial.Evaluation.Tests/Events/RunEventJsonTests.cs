using System.Text.Json.Nodes;
using Perennial.Evaluation.Events;
using Perennial.Training;

namespace Perennial.Evaluation.Tests;

public class RunEventJsonTests
{
    [Fact]
    public void Every_event_comes_back_as_it_was()
    {
        var writer = new RunEventWriter();
        foreach (var happened in Samples.EveryKind("run"))
        {
            var line = writer.Line(happened);
            Assert.DoesNotContain('\n', line);
            var back = RunEventReader.Read(line);
            Assert.NotNull(back);
            Assert.Equal(happened.GetType(), back.GetType());
            // Collections compare by reference in records: the text form is what must agree.
            var second = new RunEventWriter();
            second.Line(Samples.Start("run"));
            Assert.Equal(line, second.Line(back));
        }
    }

    [Fact]
    public void The_last_line_of_a_run_has_the_fields_of_the_contract()
    {
        var line = new RunEventWriter().Line(Samples.Finish(100));
        Assert.Equal(
            """{"event":"done","step":100,"tokens":819200,"loss":2.85,"bits_per_byte":2.03,"tokens_per_second":16384,"mfu":0.82,"state_hash":"00ff"}""",
            line);
    }

    [Fact]
    public void A_run_stopped_before_its_end_does_not_say_done() =>
        Assert.StartsWith("""{"event":"interrupted","step":7,""", new RunEventWriter().Line(Samples.Finish(7, completed: false)), StringComparison.Ordinal);

    [Fact]
    public void Numbers_that_are_not_finite_become_null_and_come_back_as_such()
    {
        var line = new RunEventWriter().Line(new StepDone(1, 1, double.NaN, double.PositiveInfinity, 1, 1, 0));
        Assert.Null(JsonNode.Parse(line)!["loss"]);
        var back = Assert.IsType<StepDone>(RunEventReader.Read(line));
        Assert.True(double.IsNaN(back.Loss) && double.IsNaN(back.GradientNorm));
    }

    [Fact]
    public void A_step_tells_its_throughput()
    {
        var writer = new RunEventWriter();
        writer.Line(Samples.Start("run"));
        var step = JsonNode.Parse(writer.Line(Samples.Step(3)))!;
        Assert.Equal(16384, (double)step["tokens_per_second"]!);
        Assert.Equal(16384 * 6e6 / 120e9, (double)step["mfu"]!, 12);
    }

    [Theory]
    [InlineData("")]
    [InlineData("{")]
    [InlineData("[1]")]
    [InlineData("7")]
    [InlineData("""{"event":"step","step":1""")]
    [InlineData("""{"event":"step","step":"one"}""")]
    [InlineData("""{"event":"done","step":1}""")]
    [InlineData("""{"event":"unheard-of","step":1}""")]
    public void Torn_and_foreign_lines_are_no_events(string line) => Assert.Null(RunEventReader.Read(line));
}
