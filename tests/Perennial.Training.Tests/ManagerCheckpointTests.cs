using Perennial.Core.Recipes;
using Perennial.Resilience;
using Perennial.Resilience.Groups;
using Perennial.Resilience.Membership;
using Perennial.Training.Parallel;
using Perennial.Training.Recipes;
using Perennial.Training.Runs;

namespace Perennial.Training.Tests;

/// <summary>Checkpoints that snapshot managers write: the files that a trainer would have written, and a trainer's again where no manager can.</summary>
public sealed class ManagerCheckpointTests(PreparedText text) : IClassFixture<PreparedText>, IDisposable
{
    private readonly string place = Directory.CreateTempSubdirectory("perennial-persist-").FullName;

    public void Dispose() => Directory.Delete(place, recursive: true);

    private Recipe Recipe(params string[] set) => new RecipeLoader(House.Components).Parse($$"""
        name: persist
        data: {{text.Data(300)}}
        model: { kind: llama, layers: 1, width: 16, heads: 2, context: 16 }
        optimizer: { rate: 1e-2 }
        training: { steps: 30, batch: 6, micro-batch: 1, sums: exact, precision: float32, threads: 1 }
        schedule: { kind: constant }
        practices: [{ kind: ema, decay: 0.9 }]
        resilience: { checkpoint: 8 steps, keep: 9 }
        evaluation: { every: 0 steps, tasks: [], prompts: [] }
        """, "persist.yaml", set);

    /// <summary>A run of three processes (here: threads), spread over the nodes.</summary>
    private Recorder Launch(int nodes, params string[] set)
    {
        using var managers = new SnapshotManagers(place, nodes, nodes > 1 ? "xor" : "none");
        using var store = new MemoryStore();
        var (hub, told) = (new ThreadHub(), new Recorder());
        var results = Task.WhenAll(Enumerable.Range(0, 3).Select(rank => Worker(managers, store, hub, rank, 3, told, set))).Result;
        Assert.Equal(Alone(set).StateHash, results[0].StateHash);
        return told;
    }

    private Task<RunResult> Worker(SnapshotManagers managers, IMembershipStore store, ICommunicatorFactory hub, int rank, int ranks, Recorder told, params string[] set) => Task.Factory.StartNew(
        () => new TrainingRun(House.Components).Execute(Recipe(set), new TrainingRunOptions
        {
            RunFolder = Path.Combine(place, "run"), Memory = managers.Settings, MeasureCeiling = _ => 1e9,
            Parallel = new ParallelSettings { Store = store, Groups = hub, Run = "run", Rank = rank, WorldSize = ranks, Node = managers.NodeOf(rank, ranks), Lease = TimeSpan.FromSeconds(5) },
        }, [told]), TaskCreationOptions.LongRunning);

    private RunResult Alone(params string[] set) => new TrainingRun(House.Components).Execute(Recipe(set), new TrainingRunOptions { RunFolder = Path.Combine(place, "alone") }, []);

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void Managers_write_the_bytes_that_a_trainer_writes(int nodes)
    {
        var told = Launch(nodes);
        var written = told.Of<CheckpointWritten>();
        Assert.Equal([8L, 16, 24, 30], written.Select(one => one.Step));
        // One that is due before every slice has its memory is the trainer's, and so is the last where the run ends before its snapshot is agreed on.
        Assert.Equal("node0", written[2].Manager);
        foreach (var step in new[] { 8, 16, 24, 30 }) AssertSame(step);
    }

    [Theory]
    [InlineData("parameterization={ kind: lora, rank: 2 }")]
    [InlineData("optimizer={ kind: schedule-free-adamw, rate: 1e-2 }")]
    public void What_must_be_computed_is_written_by_a_trainer(string set)
    {
        var told = Launch(1, set);
        Assert.Equal([(8L, null), (16, null), (24, null), (30, (string?)null)], told.Of<CheckpointWritten>().Select(written => (written.Step, written.Manager)));
        AssertSame(16);
    }

    [Fact]
    public void A_disk_that_refuses_is_told_and_the_next_checkpoint_comes_when_it_is_due()
    {
        var checkpoints = Directory.CreateDirectory(Path.Combine(place, "run", "checkpoints")).FullName;
        File.WriteAllText(new CheckpointStore(checkpoints, "manager").TemporaryOf(8), "");
        var told = Launch(1);
        Assert.Equal([16L, 24, 30], told.Of<CheckpointWritten>().Select(written => written.Step));
        Assert.Contains(told.Of<Notice>(), notice => notice.Level == "warning" && notice.Message.Contains("the checkpoint could not be written", StringComparison.Ordinal));
        AssertSame(16);
    }

    [Fact]
    public async Task Where_the_manager_is_gone_a_trainer_writes()
    {
        using var managers = new SnapshotManagers(place, 1, "none");
        using var store = new MemoryStore();
        var told = new Recorder(happened =>
        {
            // The snapshot of step 8 was agreed on; nobody is there to take it, nor the order.
            if (happened is StepDone { Step: 8 }) managers.Dispose();
        });
        var result = await Worker(managers, store, new ThreadHub(), 0, 1, told);
        Assert.Equal(Alone().StateHash, result.StateHash);
        Assert.Equal([(8L, null), (16, null), (24, null), (30, (string?)null)], told.Of<CheckpointWritten>().Select(written => (written.Step, written.Manager)));
        Assert.Contains(told.Of<Notice>(), notice => notice.Message.Contains("the manager of node0 does not write the checkpoint of step 8", StringComparison.Ordinal));
        AssertSame(8);
    }

    /// <summary>Every file, with its bytes and its hash in the manifest.</summary>
    private void AssertSame(long step)
    {
        string[] folders = [.. new[] { "alone", "run" }.Select(run => new CheckpointStore(Path.Combine(place, run, "checkpoints")).FolderOf(step))];
        var files = folders.Select(folder => Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories).Select(file => Path.GetRelativePath(folder, file)).Order(StringComparer.Ordinal).ToList()).ToList();
        Assert.Equal(files[0], files[1]);
        foreach (var file in files[0]) Assert.True(File.ReadAllBytes(Path.Combine(folders[0], file)).AsSpan().SequenceEqual(File.ReadAllBytes(Path.Combine(folders[1], file))), $"{file} of step {step} differs");
        Assert.Null(CheckpointStore.Problem(new CheckpointEntry(step, folders[1])));
    }
}
