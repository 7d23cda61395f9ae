using System.Text.Json.Nodes;
using Perennial.Resilience.Groups;
using Perennial.Resilience.Snapshots;

namespace Perennial.EndToEnd;

/// <summary>Several real processes train together.</summary>
public class LaunchTests
{
    private static void NeedsGloo() => Assert.SkipUnless(GlooLibrary.WhyMissing() is null, GlooLibrary.WhyMissing() ?? "");

    private static List<JsonObject> Events(string output) => [.. output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => (JsonObject)JsonNode.Parse(line)!)];

    [Fact]
    public void Killed_workers_and_other_numbers_of_them_cost_no_sample_and_no_bit()
    {
        NeedsGloo();
        using var place = new Workplace();
        var recipe = place.Recipe("schedule: { kind: constant }", steps: 110);
        string[] rest = ["--json", "--set", "evaluation.every=0 steps", "--set", "resilience.checkpoint=25 steps", "--set", "training.sums=exact", "--set", "training.micro-batch=1", "--set", "model.dropout=0.1"];
        // The longer run's schedule remembers the shorter one's end, alone or together.
        Runs(["train", recipe, "--run", place["alone"], "--set", "training.steps=60", .. rest]);
        var truth = (string?)Cli.LastLine(Runs(["train", recipe, "--run", place["alone"], .. rest]).Out)["state_hash"];

        var part = Runs(["launch", "--workers", "3", recipe, "--run", place["elastic"], "--chaos", "kill=@20,pair=1", "--respawn", "0.1", "--set", "training.steps=60", .. rest]);
        Audit(part, place["elastic"], faults: 1, steps: 60, "elastic");
        Assert.Contains("Lost processes", File.ReadAllText(place["elastic/report.html"]), StringComparison.Ordinal);
        // The other policy that needs nothing prepared: all leave and start anew from the newest checkpoint.
        var restarted = Runs(["launch", "--workers", "2", recipe, "--run", place["elastic"], "--chaos", "kill=@70", "--set", "resilience.policy=restart", .. rest]);
        Assert.Contains("resuming from", restarted.Out, StringComparison.Ordinal);
        Audit(restarted, place["elastic"], faults: 1, steps: 110, "restart");
        Assert.Equal(truth, (string?)Cli.LastLine(restarted.Out)["state_hash"]);
    }

    private static void Audit((string Out, string Error) run, string folder, int faults, int steps, string policy)
    {
        var summary = Events(run.Out).Single(line => (string?)line["event"] == "launched");
        Assert.Equal((faults, steps), ((int)summary["faults"]!, (int)summary["audited_steps"]!));
        Assert.Contains("none lost, none twice", run.Error, StringComparison.Ordinal);
        Assert.Empty((JsonArray)summary["wrong_steps"]!);
        Assert.Equal(("done", steps), ((string)Cli.LastLine(run.Out)["event"]!, (int)Cli.LastLine(run.Out)["step"]!));
        Assert.True((double)summary["recovery"]!["fault_to_progress_seconds"]! > 0, run.Error);
        Assert.Contains($"\"policy\":\"{policy}\"", File.ReadAllText(Path.Combine(folder, "recoveries.json")).Replace(" ", "", StringComparison.Ordinal), StringComparison.Ordinal);
    }

    private static (string Out, string Error) Runs(string[] arguments)
    {
        var (code, output, error) = Cli.Run(arguments);
        Assert.True(code == 0, $"{string.Join(' ', arguments)}: {code}\n{output}\n{error}");
        return (output, error);
    }

    [Fact]
    public async Task Control_C_reaches_launcher_and_workers_and_all_save_once_and_leave()
    {
        NeedsGloo();
        using var place = new Workplace();
        using var stopped = Cli.StartGroup(["launch", "--workers", "2", place.Recipe(steps: 1_000_000), "--run", place["stopped"], "--json", "--set", "evaluation.every=0 steps", "--set", "resilience.checkpoint=900000 steps"]);
        var told = stopped.StandardError.ReadToEndAsync();
        while (stopped.StandardOutput.ReadLine() is { } line && !line.StartsWith("{\"event\":\"step\"", StringComparison.Ordinal)) { /* until training is under way */ }
        Cli.Interrupt(stopped);
        var events = Events(stopped.StandardOutput.ReadToEnd());
        stopped.WaitForExit();
        Assert.Equal(130, stopped.ExitCode);
        var said = await told;
        Assert.DoesNotContain("died", said, StringComparison.Ordinal);
        var last = (long)events.Last(line => (string?)line["event"] == "step")["step"]!;
        Assert.True(Directory.Exists(place[$"stopped/checkpoints/step-{last}"]), $"step {last} is not on disk: {said}");
        // What is on the disk is not kept in memory as well.
        Assert.False(Directory.Exists(SnapshotHostOptions.DefaultFolder(Guid.Parse(File.ReadAllText(place["stopped/snapshot-id.txt"]).Trim()), "node0")));
    }

    [Fact]
    public void All_workers_killed_at_once_go_on_from_memory_to_the_same_bits()
    {
        NeedsGloo();
        using var place = new Workplace();
        var recipe = place.Recipe("schedule: { kind: constant }", steps: 80);
        // With exact sums the bits are those of one process alone, even where a busy machine takes a worker for lost for a while.
        string[] rest = [recipe, "--json", "--set", "evaluation.every=0 steps", "--set", "resilience.checkpoint=10000 steps", "--set", "training.sums=exact", "--set", "training.micro-batch=1"];
        var through = Runs(["train", .. rest, "--run", place["through"]]);
        var killed = Runs(["launch", "--workers", "2", .. rest, "--run", place["killed"], "--chaos", "all=@25"]);
        Assert.Contains("no checkpoint was read", killed.Out, StringComparison.Ordinal);
        var events = Events(killed.Out);
        var fault = events.FindIndex(line => (string?)line["event"] == "chaos");
        var newest = events.Where((_, index) => index < fault).Last(line => (string?)line["event"] == "step");
        // At most one step old; the launcher may hear of a step or two more than it had when it killed.
        Assert.InRange((long)events.Skip(fault).First(line => (string?)line["event"] == "start")["step"]!, (long)newest["step"]! - 1, (long)newest["step"]! + 5);
        Assert.Equal((string?)Cli.LastLine(through.Out)["state_hash"], (string?)Cli.LastLine(killed.Out)["state_hash"]);
    }

    [Fact]
    public void Wrong_uses_are_refused_at_the_door()
    {
        NeedsGloo();
        using var place = new Workplace();
        foreach (var (says, arguments) in new (string, string[])[]
        {
            ("--workers 9: a step has 4 windows", ["--workers", "9"]), ("--chaos kill=often: a time such as 15s", ["--workers", "2", "--chaos", "kill=often"]),
            ("names no fault", ["--workers", "2", "--chaos", "seed=1"]), ("start with --nodes 3 or more", ["--workers", "2", "--nodes", "2", "--chaos", "outage=@4,nodes=2"]),
        })
        {
            var (code, _, error) = Cli.Run(["launch", place.Recipe(), "--run", place["run"], .. arguments]);
            Assert.True(code == 2, error);
            Assert.Contains(says, error, StringComparison.Ordinal);
            Assert.False(Directory.Exists(place["run"]));
        }
    }
}
