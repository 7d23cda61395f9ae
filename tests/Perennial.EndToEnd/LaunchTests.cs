using System.Text.Json.Nodes;
using Perennial.Resilience.Groups;

namespace Perennial.EndToEnd;

/// <summary>Several real processes train together.</summary>
public class LaunchTests
{
    private static void NeedsGloo() => Assert.SkipUnless(GlooLibrary.WhyMissing() is null, GlooLibrary.WhyMissing() ?? "");

    private static List<JsonObject> Events(string output) => [.. output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => (JsonObject)JsonNode.Parse(line)!)];

    [Fact]
    public void Three_processes_learn_what_one_learns_and_a_fourth_run_goes_on()
    {
        NeedsGloo();
        using var place = new Workplace();
        var recipe = place.Recipe("schedule: { kind: constant }", steps: 40);
        var (_, alone, _) = Cli.Run("train", recipe, "--run", place["alone"], "--json");
        var (code, output, error) = Cli.Run("launch", "--workers", "3", recipe, "--run", place["three"], "--json", "--set", "training.steps=25");
        Assert.True(code == 0, error);
        (code, output, error) = Cli.Run("launch", "--workers", "2", recipe, "--run", place["three"], "--json");
        Assert.True(code == 0, error);
        Assert.Equal((double)Cli.LastLine(alone)["loss"]!, (double)Cli.LastLine(output)["loss"]!, 1e-3);
        Assert.Contains("resuming from", output, StringComparison.Ordinal);
        Assert.Contains("none lost, none twice", error, StringComparison.Ordinal);
    }

    [Fact]
    public void Killed_workers_cost_no_sample()
    {
        NeedsGloo();
        using var place = new Workplace();
        var recipe = place.Recipe(steps: 1500);
        var (code, output, error) = Cli.Run("launch", "--workers", "3", recipe, "--run", place["run"], "--json", "--chaos", "kill=1500ms,most=3,seed=4", "--set", "evaluation.every=0 steps", "--set", "resilience.checkpoint=500 steps");
        Assert.True(code == 0, error);
        var summary = Events(output).Single(line => (string?)line["event"] == "launched");
        Assert.True((int)summary["faults"]! >= 1, error);
        Assert.Equal(1500, (int)summary["audited_steps"]!);
        Assert.Contains("none lost, none twice", error, StringComparison.Ordinal);
        Assert.Empty((JsonArray)summary["wrong_steps"]!);
        Assert.Equal(("done", 1500), ((string)Cli.LastLine(output)["event"]!, (int)Cli.LastLine(output)["step"]!));
    }

    [Fact]
    public void Wrong_uses_are_refused_at_the_door()
    {
        NeedsGloo();
        using var place = new Workplace();
        foreach (var (says, arguments) in new (string, string[])[]
        {
            ("--workers 9: a step has 4 windows", ["--workers", "9"]), ("--chaos kill=often: a time such as 15s", ["--workers", "2", "--chaos", "kill=often"]),
            ("names no fault", ["--workers", "2", "--chaos", "seed=1"]),
        })
        {
            var (code, _, error) = Cli.Run(["launch", place.Recipe(), "--run", place["run"], .. arguments]);
            Assert.True(code == 2, error);
            Assert.Contains(says, error, StringComparison.Ordinal);
            Assert.False(Directory.Exists(place["run"]));
        }
    }
}
