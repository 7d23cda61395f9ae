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

    [Theory]
    [InlineData("elastic")]
    [InlineData("restart")]
    public void Killed_workers_cost_no_sample_and_no_bit(string policy)
    {
        NeedsGloo();
        using var place = new Workplace();
        var recipe = place.Recipe(steps: 800);
        string[] rest = ["--json", "--set", "evaluation.every=0 steps", "--set", "resilience.checkpoint=50 steps", "--set", "training.sums=exact", "--set", "training.micro-batch=1", "--set", "model.dropout=0.1", "--set", $"resilience.policy={policy}"];
        var (_, alone, _) = Cli.Run(["train", recipe, "--run", place["alone"], .. rest]);
        var (code, output, error) = Cli.Run(["launch", "--workers", "3", recipe, "--run", place["run"], "--chaos", "kill=300ms,most=2,seed=4", .. rest]);
        Assert.True(code == 0, error);
        var summary = Events(output).Single(line => (string?)line["event"] == "launched");
        Assert.True((int)summary["faults"]! >= 1, error);
        Assert.Equal(800, (int)summary["audited_steps"]!);
        Assert.Contains("none lost, none twice", error, StringComparison.Ordinal);
        Assert.Empty((JsonArray)summary["wrong_steps"]!);
        Assert.Equal(("done", 800), ((string)Cli.LastLine(output)["event"]!, (int)Cli.LastLine(output)["step"]!));
        Assert.Equal((string?)Cli.LastLine(alone)["state_hash"], (string?)Cli.LastLine(output)["state_hash"]);
        Assert.True((double)summary["recovery"]!["fault_to_progress_seconds"]! > 0, error);
        Assert.Contains($"\"policy\":\"{policy}\"", File.ReadAllText(Path.Combine(place["run"], "recoveries.json")).Replace(" ", "", StringComparison.Ordinal), StringComparison.Ordinal);
        if (policy == "elastic") Assert.Contains("Lost processes", File.ReadAllText(Path.Combine(place["run"], "report.html")), StringComparison.Ordinal);
    }

    [Fact]
    public async Task All_workers_killed_at_once_go_on_from_memory_to_the_same_bits()
    {
        NeedsGloo();
        using var place = new Workplace();
        var recipe = place.Recipe("schedule: { kind: constant }", steps: 250);
        string[] rest = ["--json", "--set", "evaluation.every=0 steps", "--set", "resilience.checkpoint=10000 steps"];
        var (code, through, error) = Cli.Run(["launch", "--workers", "2", recipe, "--run", place["through"], .. rest]);
        Assert.True(code == 0, error);
        using var launched = Cli.Start(["launch", "--workers", "2", recipe, "--run", place["killed"], .. rest]);
        var errors = launched.StandardError.ReadToEndAsync();
        var lines = new List<string>();
        while (lines.Count(line => line.Contains("\"step\"", StringComparison.Ordinal)) < 60 && launched.StandardOutput.ReadLine() is { } line) lines.Add(line);
        foreach (var worker in Directory.GetDirectories("/proc").Where(folder => int.TryParse(Path.GetFileName(folder), out _)).Where(IsWorker)) System.Diagnostics.Process.GetProcessById(int.Parse(Path.GetFileName(worker), System.Globalization.CultureInfo.InvariantCulture)).Kill();
        lines.AddRange(launched.StandardOutput.ReadToEnd().Split('\n', StringSplitOptions.RemoveEmptyEntries));
        launched.WaitForExit();
        Assert.True(launched.ExitCode == 0, await errors);
        Assert.Contains(lines, line => line.Contains("no checkpoint was read", StringComparison.Ordinal));
        Assert.Equal((string?)Cli.LastLine(through)["state_hash"], (string?)Cli.LastLine(string.Join('\n', lines))["state_hash"]);

        bool IsWorker(string folder)
        {
            try
            {
                var command = File.ReadAllText(Path.Combine(folder, "cmdline"));
                return command.Contains("train\0", StringComparison.Ordinal) && command.Contains(place["killed"], StringComparison.Ordinal);
            }
            catch (IOException)
            {
                return false;
            }
        }
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
