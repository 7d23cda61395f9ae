using System.Diagnostics;
using System.Text.Json.Nodes;
using Perennial.Resilience.Groups;
using Perennial.Resilience.Snapshots;

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
        var recipe = place.Recipe("schedule: { kind: constant }", steps: 50);
        var truth = Undisturbed(recipe, place);
        foreach (var (name, parity, says) in new[]
        {
            ("rs", "rs(1+2)", "2 slices from parity"), ("beyond", "xor", "what is left in memory cannot be restored"),
        })
        {
            // Disk has only what is older than memory, so that it is used where memory fails and nowhere else.
            var (code, output, error) = Cli.Run(["launch", recipe, "--workers", "3", "--nodes", "3", "--run", place[name], "--chaos", "outage=@27,nodes=2,seed=2", "--set", $"resilience.parity={parity}", "--set", "resilience.checkpoint=15 steps", .. Quiet]);
            Assert.True(code == 0, error);
            Assert.Equal(truth, (string?)Cli.LastLine(output)["state_hash"]);
            Assert.Contains(Notices(output), notice => notice.Contains(says, StringComparison.Ordinal));
            Assert.Equal(name != "beyond", Notices(output).Exists(notice => notice.Contains("no checkpoint was read", StringComparison.Ordinal)));
            Assert.Equal(name == "beyond", Notices(output).Exists(notice => notice.StartsWith($"resuming from {place[name]}", StringComparison.Ordinal)));
            // At most one step old, unless a snapshot took so long that training did not wait for it, which is told.
            if (Notices(output).Exists(notice => notice.Contains("was not committed", StringComparison.Ordinal))) continue;
            var events = Events(output);
            var fault = events.FindIndex(line => (string?)line["event"] == "chaos");
            var before = (long)events.Take(fault).Last(line => (string?)line["event"] == "step")["step"]!;
            var after = (long)events.Skip(fault).First(line => (string?)line["event"] == "start")["step"]!;
            if (name == "beyond") Assert.Equal(15, after);
            else Assert.InRange(after, before - 1, before + 5);
        }
    }

    [Fact]
    public async Task The_checkpoint_of_a_committed_step_comes_though_every_trainer_and_the_launcher_are_killed()
    {
        Assert.SkipUnless(GlooLibrary.WhyMissing() is null, GlooLibrary.WhyMissing() ?? "");
        Assert.SkipUnless(OperatingSystem.IsLinux(), "signals a process group");
        using var place = new Workplace();
        var recipe = place.Recipe("schedule: { kind: constant }", steps: 60);
        string[] every = ["--set", "resilience.checkpoint=10 steps", "--set", "resilience.keep=9"];
        var truth = Undisturbed(recipe, place);
        using var launched = Cli.StartGroup(["launch", recipe, "--workers", "2", "--run", place["run"], .. every, .. Quiet]);
        var (output, error) = (launched.StandardOutput.ReadToEndAsync(), launched.StandardError.ReadToEndAsync());
        using var manager = Manager.Find(place["run"], launched);
        // Stopped between the commit and the end of the write; where the write was over already, at the next checkpoint.
        var step = 10;
        for (; ; step += 10)
        {
            while (manager.Committed() < step) Assert.False(launched.HasExited, $"it ended before step {step} was committed");
            Cli.Signal("STOP", manager.Process);
            if (!Directory.Exists(place[$"run/checkpoints/step-{step}"])) break;
            Cli.Signal("CONT", manager.Process);
        }
        Cli.Signal("KILL", $"-{launched.Id}");
        launched.WaitForExit();
        // Both pipes end with the last of their writers.
        await Task.WhenAll(output, error);
        Assert.False(Directory.Exists(place[$"run/checkpoints/step-{step}"]));
        Cli.Signal("CONT", manager.Process);
        Assert.True(SpinWait.SpinUntil(() => Directory.Exists(place[$"run/checkpoints/step-{step}"]), TimeSpan.FromMinutes(1)));
        var (verified, _, problem) = Cli.Run("checkpoint", "verify", place[$"run/checkpoints/step-{step}"]);
        Assert.True(verified == 0, problem);
        // One process alone knows no memory: what it goes on from is that checkpoint.
        var (code, resumed, told) = Cli.Run(["train", recipe, "--run", place["run"], .. every, .. Quiet]);
        Assert.True(code == 0, told);
        Assert.Contains(Notices(resumed), notice => notice.Contains($"resuming from {place[$"run/checkpoints/step-{step}"]} ", StringComparison.Ordinal));
        Assert.Equal(truth, (string?)Cli.LastLine(resumed)["state_hash"]);
    }

    [Fact]
    public void A_manager_that_does_not_take_this_program_is_replaced()
    {
        Assert.SkipUnless(GlooLibrary.WhyMissing() is null, GlooLibrary.WhyMissing() ?? "");
        using var place = new Workplace();
        var recipe = place.Recipe("schedule: { kind: constant }", steps: 4);
        // What a manager of another version answers, one of another run answers too.
        var id = Guid.NewGuid();
        var folder = SnapshotHostOptions.DefaultFolder(id, "node0");
        Directory.CreateDirectory(place["run"]);
        File.WriteAllText(place["run/snapshot-id.txt"], $"{id}");
        Directory.CreateDirectory(folder);
        using var older = Cli.Start("snapshot-host", "--run-id", $"{Guid.NewGuid()}", "--folder", folder, "--endpoint", $"unix:{folder}/s");
        Assert.True(SpinWait.SpinUntil(() => File.Exists($"{folder}/s") && File.Exists(SnapshotHost.PidFile(folder)), TimeSpan.FromSeconds(30)));
        var (code, output, error) = Cli.Run(["launch", recipe, "--workers", "2", "--run", place["run"], .. Quiet]);
        Assert.True(code == 0, output + error);
        Assert.True(older.WaitForExit(TimeSpan.FromSeconds(10)));
        Assert.False(Directory.Exists(folder));
    }

    [Fact]
    public void All_workers_of_a_fixed_shape_and_one_node_are_lost_and_memory_brings_the_same_bits_back()
    {
        Assert.SkipUnless(GlooLibrary.WhyMissing() is null, GlooLibrary.WhyMissing() ?? "");
        using var place = new Workplace();
        // Nobody else has a rank's optimizer slots. On disk is the beginning alone: whoever read it would take every step again.
        string[] shape = ["--workers", "2", "--json", "--set", "parallel.data=2", "--set", "parallel.zero=1", "--set", "parallel.reshape=wait", "--set", "evaluation.every=0 steps", "--set", "resilience.checkpoint=1000 steps"];
        var recipe = place.Recipe("schedule: { kind: constant }", steps: 60);
        var (code, undisturbed, error) = Cli.Run(["launch", recipe, "--run", place["through"], .. shape]);
        Assert.True(code == 0, error);
        (code, var output, error) = Cli.Run(["launch", recipe, "--run", place["killed"], "--nodes", "2", "--set", "resilience.parity=xor", "--chaos", "outage=@20,kill=@45,seed=2", .. shape]);
        Assert.True(code == 0, error);
        Assert.Equal((string?)Cli.LastLine(undisturbed)["state_hash"], (string?)Cli.LastLine(output)["state_hash"]);
        Assert.Contains("none lost, none twice", error, StringComparison.Ordinal);
        var notices = Notices(output);
        Assert.Single(notices, notice => notice.Contains("resuming from memory at step", StringComparison.Ordinal) && notice.Contains("1 slice from own memory, 1 slice from parity", StringComparison.Ordinal) && notice.Contains("no checkpoint was read", StringComparison.Ordinal));
        Assert.DoesNotContain(notices, notice => notice.Contains("resuming from /", StringComparison.Ordinal));
        Assert.True((long)Events(output).Last(line => (string?)line["event"] == "start")["step"]! > 0, output);
    }

    [Fact]
    public void Random_faults_of_all_kinds_end_in_the_same_bits()
    {
        Assert.SkipUnless(GlooLibrary.WhyMissing() is null, GlooLibrary.WhyMissing() ?? "");
        var (code, output, error) = Cli.Run("bench", "faults", "--count", "3", "--per-run", "3", "--steps", "90", "--every", "500", "--seed", "3", "--json");
        Assert.True(code == 0, output + error);
        var summary = Cli.LastLine(output);
        Assert.Equal((0, 0, 0), ((int)summary["divergences"]!, (int)summary["hangs"]!, (int)summary["wrong_steps"]!));
        Assert.True((int)summary["faults"]! >= 3, output);
    }

    /// <summary>The snapshot manager that a launcher has started.</summary>
    private sealed class Manager : IDisposable
    {
        private readonly SnapshotClient client;

        private Manager(SnapshotClient client, string process) => (this.client, Process) = (client, process);

        public string Process { get; }

        public static Manager Find(string run, Process launched)
        {
            while (true)
            {
                Assert.False(launched.HasExited);
                try
                {
                    var id = Guid.Parse(File.ReadAllText(Path.Combine(run, "snapshot-id.txt")).Trim());
                    var folder = SnapshotHostOptions.DefaultFolder(id, "node0");
                    return new(SnapshotClient.Connect(new(Path.Combine(folder, "s"), -1), id, TimeSpan.FromSeconds(30)), File.ReadAllText(SnapshotHost.PidFile(folder)));
                }
                catch (Exception error) when (error is IOException or FormatException)
                {
                    // Not there yet; nothing tells when it is.
                    Thread.Sleep(5);
                }
            }
        }

        /// <summary>The newest step that is committed.</summary>
        public long Committed() => client.Inventory().SelectMany(rank => rank.Slots).Where(slot => slot.State == SlotState.Committed).Select(slot => slot.Step).DefaultIfEmpty(-1).Max();

        public void Dispose()
        {
            Cli.Signal("CONT", Process);
            try
            {
                client.Retire(-1);
            }
            catch (IOException)
            {
                // Its launcher has retired it: the test has failed, which is told elsewhere.
            }
            client.Dispose();
        }
    }
}
