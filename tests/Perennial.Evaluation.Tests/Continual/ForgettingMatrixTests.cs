using Perennial.Evaluation.Continual;
using Perennial.Evaluation.Events;
using Perennial.Training;

namespace Perennial.Evaluation.Tests.Continual;

/// <summary>The matrix and what follows from it, against figures worked out by hand.</summary>
public class ForgettingMatrixTests
{
    private static StageMeasured At(int stage, string name, long step, long stageStep, bool end, string own, bool branch, params double[] losses) =>
        new(step, stage, name, stageStep, end, branch, own, "raw", [.. losses.Select((loss, i) => new TextMeasured("abc"[i].ToString(), new Dictionary<string, double> { ["loss"] = loss, ["bits_per_byte"] = loss / 2 }))]);

    private static readonly StageMeasured[] Run =
    [
        At(0, "one", 0, 0, false, "a", false, 6, 6, 6),
        At(0, "one", 10, 10, true, "a", false, 2, 5, 5.5),
        At(1, "two", 12, 2, false, "b", false, 3, 4, 5.5),
        At(1, "two", 14, 4, false, "b", false, 2.5, 3.5, 5),
        At(1, "two", 20, 10, true, "b", false, 1.9, 2.5, 5),
        At(2, "three", 24, 4, false, "c", false, 2.3, 3, 4),
        At(2, "three", 30, 10, true, "c", false, 2.4, 2.4, 3),
    ];

    [Fact]
    public void Transfers_follow_their_definitions()
    {
        var matrix = ForgettingMatrix.Of(Run)!;
        Assert.Equal(["before training", "one", "two", "three"], matrix.Rows.Select(row => row.Stage));
        var (a, b, c) = (matrix.Transfers[0], matrix.Transfers[1], matrix.Transfers[2]);
        Assert.Equal((2, 2.4), (a.Learned, a.Final));
        Assert.Equal(0.5, a.Forgetting, 12);              // 2.4 − 1.9, the best ever
        Assert.Equal(-0.4, a.BackwardTransfer, 12);
        Assert.True(double.IsNaN(a.ForwardTransfer));
        Assert.Equal((0, 0.1, 1), (Math.Round(b.Forgetting, 12), Math.Round(b.BackwardTransfer, 12), b.ForwardTransfer)); // 6 − 5
        Assert.Equal(1, c.ForwardTransfer);               // 6 − 5
        Assert.Equal((2.4 + 2.4 + 3) / 3, matrix.Retained, 12);
        Assert.Equal(2.5, matrix.Learned, 12);
        Assert.Equal(0.25, matrix.Forgetting, 12);
        Assert.Equal(-0.15, matrix.BackwardTransfer, 12);
        Assert.Equal(1, matrix.ForwardTransfer, 12);
    }

    [Fact]
    public void Gaps_have_depth_recovery_and_area()
    {
        var gaps = ForgettingMatrix.Of(Run)!.Gaps;
        var gap = gaps.Single(gap => gap is { Stage: "two", Text: "a" });
        Assert.Equal((1.0, 2L, 10L), (gap.Depth, gap.WorstStep, gap.RecoveredStep));
        // Rises 1 at step 2, 0.5 at 4, none at 10: 1 + 1.5 + 1.5.
        Assert.Equal(2 * 0.5 + 2 * 0.75 + 6 * 0.25, gap.Area, 12);
        Assert.Null(gaps.Single(gap => gap is { Stage: "three", Text: "a" }).RecoveredStep);
        Assert.Equal(0.5, gaps.Single(gap => gap is { Stage: "three", Text: "b" }).Depth, 12);
        Assert.DoesNotContain(gaps, gap => gap.Stage == "one" || (gap.Stage == "two" && gap.Text == "b"));
    }

    [Fact]
    public void Branches_make_the_rows_where_there_are_some()
    {
        var matrix = ForgettingMatrix.Of([
            .. Run.Take(2), At(1, "one-finished", 12, 2, true, "a", true, 1.8, 5, 5.5), At(2, "two", 22, 10, true, "b", false, 2.2, 3, 5), At(3, "two-finished", 24, 2, true, "b", true, 2, 2.8, 5)])!;
        Assert.Equal(["before training", "one-finished", "two-finished"], matrix.Rows.Select(row => row.Stage));
        Assert.Equal((1.8, 2.0), (matrix.Transfers[0].Learned, matrix.Transfers[0].Final));
        // Gaps begin where the trunk was.
        Assert.Equal(0.2, matrix.Gaps.Single(gap => gap is { Stage: "two", Text: "a" }).Depth, 12);
    }

    [Fact]
    public void Events_go_through_the_metrics_file_unchanged()
    {
        var writer = new RunEventWriter();
        var read = (StageMeasured)RunEventReader.Read(writer.Line(Run[3]))!;
        Assert.Equal((Run[3].Step, Run[3].Stage, Run[3].Name, Run[3].StageStep, Run[3].IsEnd, Run[3].Own), (read.Step, read.Stage, read.Name, read.StageStep, read.IsEnd, read.Own));
        Assert.Equal(Run[3].Texts.Select(text => text.Metrics["loss"]), read.Texts.Select(text => text.Metrics["loss"]));
        var stage = new StageFinished(20, 1, "two", 10, 640, 320, "runs/x/stages/2-two");
        Assert.Equal(stage, RunEventReader.Read(writer.Line(stage)));
        Assert.Null(ForgettingMatrix.Of(Run.Take(1)));
    }
}
