using System.Text.Json.Nodes;
using Perennial.Resilience.Groups;

namespace Perennial.EndToEnd;

/// <summary>
/// What outlives trainers and nodes, with real processes. With <c>training.sums: exact</c> a run's bits do not depend on who is there, so every run
/// must end in the state of one process that was never disturbed.
/// </summary>
public class SnapshotLaunchTests
{
    private static readonly string[] Quiet = ["--json", "--set", "training.sums=exact", "--set", "training.micro-batch=1", "--set", "evaluation.every=0 steps"];

    private static string Undisturbed(string recipe, Workplace place)
    {
        var (code, output, error) = Cli.Run(["train", recipe, "--run", place["alone"], .. Quiet]);
        Assert.True(code == 0, error);
        return (string)Cli.LastLine(output)["state_hash"]!;
    }

    private static List<JsonObject> Events(string output) => [.. output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => (JsonObject)JsonNode.Parse(line)!)];

    private static List<string> Notices(string output) => [.. Events(output).Where(line => (string?)line["event"] == "notice").Select(line => (string)line["message"]!)];

    [Fact]
    public void Whoever_is_lost_memory_or_disk_brings_the_same_bits_back()
    {
        Assert.SkipUnless(GlooLibrary.WhyMissing() is null, GlooLibrary.WhyMissing() ?? "");
        using var place = new Workplace();
        var recipe = place.Recipe("schedule: { kind: constant }", steps: 150);
        var truth = Undisturbed(recipe, place);
        foreach (var (name, parity, chaos, says) in new[]
        {
            ("xor", "xor", "outage=1500ms", "1 slice from parity"), ("rs", "rs(1+2)", "outage=1500ms,nodes=2", "2 slices from parity"),
            ("beyond", "xor", "outage=1500ms,nodes=2", "what is left in memory cannot be restored"),
        })
        {
            var (code, output, error) = Cli.Run(["launch", recipe, "--workers", "3", "--nodes", "3", "--run", place[name], "--chaos", $"{chaos},most=1,seed=2", "--set", $"resilience.parity={parity}", .. Quiet]);
            Assert.True(code == 0, error);
            Assert.Equal(truth, (string?)Cli.LastLine(output)["state_hash"]);
            // A fault before the first commit was told, or just after a checkpoint of the same step, leaves memory nothing to say: only the bits are certain then.
            if (!Notices(output).Exists(notice => notice.Contains(says, StringComparison.Ordinal))) continue;
            Assert.Equal(name == "beyond", !Notices(output).Exists(notice => notice.Contains("no checkpoint was read", StringComparison.Ordinal)));
            // At most one step old, unless a snapshot took so long that training did not wait for it, which is told.
            if (name == "beyond" || Notices(output).Exists(notice => notice.Contains("was not committed", StringComparison.Ordinal))) continue;
            var events = Events(output);
            var fault = events.FindIndex(line => (string?)line["event"] == "chaos");
            var before = events.Take(fault).Last(line => (string?)line["event"] == "step");
            Assert.InRange((long)events.Skip(fault).First(line => (string?)line["event"] == "start")["step"]!, (long)before["step"]! - 1, (long)before["step"]! + 2);
        }
    }

    [Fact]
    public void Random_faults_of_all_kinds_end_in_the_same_bits()
    {
        Assert.SkipUnless(GlooLibrary.WhyMissing() is null, GlooLibrary.WhyMissing() ?? "");
        var (code, output, error) = Cli.Run("bench", "faults", "--count", "4", "--per-run", "4", "--steps", "200", "--every", "700", "--seed", "3", "--json");
        Assert.True(code == 0, output + error);
        var summary = Cli.LastLine(output);
        Assert.Equal((0, 0, 0), ((int)summary["divergences"]!, (int)summary["hangs"]!, (int)summary["wrong_steps"]!));
        Assert.True((int)summary["faults"]! >= 4, output);
    }
}
