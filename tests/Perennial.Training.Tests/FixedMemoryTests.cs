using Perennial.Resilience;
using Perennial.Resilience.Groups;
using Perennial.Resilience.Membership;
using Perennial.Resilience.Snapshots;
using Perennial.Training.Memory;
using Perennial.Training.Parallel;
using Perennial.Training.Recipes;
using Perennial.Training.Runs;

namespace Perennial.Training.Tests;

/// <summary>Runs under <c>parallel:</c> whose state outlives their processes (here: threads) in the memory of snapshot managers.</summary>
public sealed class FixedMemoryTests(PreparedText text) : IClassFixture<PreparedText>, IDisposable
{
    private const int Steps = 60;
    private readonly string place = Directory.CreateTempSubdirectory("perennial-kept-").FullName;

    public void Dispose() => Directory.Delete(place, recursive: true);

    private Recipe Recipe(string parallel, string more = "", int checkpoint = 1000) => new RecipeLoader(House.Components).Parse($$"""
        name: kept
        data: {{text.Data()}}
        model: { kind: llama, layers: 2, width: 32, heads: 2, context: 16 }
        optimizer: { rate: 1e-2 }
        training: { steps: {{Steps}}, batch: 6, micro-batch: 1, precision: float32, threads: 1 }
        resilience: { checkpoint: {{checkpoint}} steps }
        evaluation: { every: 0 steps, tasks: [], prompts: [] }
        schedule: { kind: constant }
        parallel: {{(parallel.Contains("reshape", StringComparison.Ordinal) ? parallel : $"{parallel[..^1]}, reshape: wait }}")}}
        {{more}}
        """, "kept.yaml");

    [Theory]
    [InlineData("{ data: 2, tensor: 2 }", 1, "none", -1, "4 slices from own memory")]
    [InlineData("{ pipeline: 2 }", 2, "xor", 0, "1 slice from own memory, 1 slice from parity")]
    [InlineData("{ data: 3, zero: 1 }", 2, "xor", 1, "2 slices from own memory, 1 slice from parity")]
    public async Task Nobody_is_left_and_the_run_goes_on_from_memory(string parallel, int nodes, string parity, int lost, string how)
    {
        // Averages of weights are cut in another way than optimizer slots.
        var recipe = Recipe(parallel, "practices: [{ kind: ema, decay: 0.9 }]");
        using var managers = new SnapshotManagers(place, nodes, parity);
        var truth = await KillAll(recipe, managers);
        if (lost >= 0) await managers.Lose(lost);
        var seen = new Watcher(null);
        var result = await Launch("killed", recipe, managers, seen);
        Assert.Equal(truth.StateHash, result.StateHash);
        Assert.Contains(seen.Notices, line => line.Contains("resuming from memory at step", StringComparison.Ordinal) && line.Contains(how, StringComparison.Ordinal) && line.Contains("no checkpoint was read", StringComparison.Ordinal));
        Assert.True(seen.Started > 0);
    }

    [Theory]
    [InlineData("{ data: 2, zero: 3 }")]
    [InlineData("{ tensor: 2 }")]
    public async Task One_is_lost_whose_peers_have_not_what_it_had(string parallel)
    {
        var recipe = Recipe(parallel);
        var truth = await Launch("through", recipe, null, new Watcher(null));
        using var managers = new SnapshotManagers(place, 1, "none");
        using var store = new MemoryStore();
        var (hub, seen) = (new ThreadHub(), new Watcher(managers));
        var workers = Enumerable.Range(0, 2).Select(rank => Worker("killed", recipe, managers, store, rank == 1 ? new Doomed(hub, seen) : hub, rank, seen)).ToList();
        await Assert.ThrowsAsync<SimulatedDeathException>(() => workers[1]);
        workers[1] = Worker("killed", recipe, managers, store, hub, 1, seen);
        var results = await Task.WhenAll(workers);
        Assert.Equal(truth.StateHash, results[0].StateHash);
        Assert.Contains("resuming from memory at step", Assert.Single(seen.Recoveries), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("{ data: 2, zero: 1, reshape: shrink }", "data=1,tensor=1,pipeline=1,zero=1 has what was kept of data=2,tensor=1,pipeline=1,zero=1")]
    [InlineData("{ pipeline: 2, reshape: shrink }", "data=1,tensor=1,pipeline=1,zero=0 has what was kept of data=1,tensor=1,pipeline=2,zero=0, layers 1/1")]
    public async Task One_is_lost_and_those_who_are_left_go_on_with_what_it_kept(string parallel, string how)
    {
        var recipe = Recipe(parallel, "practices: [{ kind: ema, decay: 0.9 }]");
        using var managers = new SnapshotManagers(place, 1, "none");
        using var store = new MemoryStore();
        var (hub, seen) = (new ThreadHub(), new Watcher(managers));
        var workers = Enumerable.Range(0, 2).Select(rank => Worker("killed", recipe, managers, store, rank == 1 ? new Doomed(hub, seen) : hub, rank, seen)).ToList();
        await Assert.ThrowsAsync<SimulatedDeathException>(() => workers[1]);
        var result = await workers[0];
        Assert.True(result.Completed);
        var reason = Assert.Single(seen.Recoveries);
        Assert.Contains("resuming from memory at step", reason, StringComparison.Ordinal);
        Assert.Contains("2 slices from own memory", reason, StringComparison.Ordinal);
        Assert.Contains(how, reason, StringComparison.Ordinal);
        var alone = new TrainingRun(House.Components).Execute(Recipe("{ data: 1, reshape: shrink }", "practices: [{ kind: ema, decay: 0.9 }]"), new TrainingRunOptions { RunFolder = Path.Combine(place, "alone") }, []);
        Assert.Equal(alone.Loss, result.Loss, 1e-3 * alone.Loss);
    }

    [Fact]
    public async Task What_memory_cannot_give_comes_from_disk_and_is_told()
    {
        var recipe = Recipe("{ data: 2, zero: 1 }");
        using var managers = new SnapshotManagers(place, 2, "none");
        var truth = await KillAll(recipe, managers);
        await managers.Lose(0);
        var seen = new Watcher(null);
        Assert.Equal(truth.StateHash, (await Launch("killed", recipe, managers, seen)).StateHash);
        Assert.Equal(0, seen.Started);
        Assert.Contains(seen.Notices, line => line.Contains("what is left in memory cannot be restored (2 of 2 managers answer)", StringComparison.Ordinal));
        Assert.Contains(seen.Notices, line => line.Contains("resuming from " + place, StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_disk_that_refuses_is_told_and_the_next_checkpoint_comes_when_it_is_due()
    {
        using var managers = new SnapshotManagers(place, 1, "none");
        var recipe = Recipe("{ data: 2, zero: 1 }", checkpoint: 25);
        var store = new CheckpointStore(Path.Combine(place, "full", "checkpoints"));
        var seen = new Watcher(null, happened =>
        {
            // Where the next checkpoint's folder must be there is a file.
            if (happened is StepDone { Step: 10 }) File.WriteAllText(store.TemporaryOf(25), "");
        });
        var result = await Launch("full", recipe, managers, seen);
        Assert.True(result.Completed);
        Assert.Equal([0L, 50, Steps], store.List().Select(entry => entry.Step).Order());
        Assert.Contains(seen.Notices, line => line.Contains("the checkpoint of step 25 could not be written", StringComparison.Ordinal) && line.Contains("training goes on, its state is in memory", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_flipped_bit_of_one_rank_takes_all_ranks_to_the_step_before()
    {
        var recipe = Recipe("{ data: 2, zero: 1 }");
        using var managers = new SnapshotManagers(place, 1, "none");
        var truth = await KillAll(recipe, managers);
        var flipped = managers.Flip();
        var seen = new Watcher(null);
        Assert.Equal(truth.StateHash, (await Launch("killed", recipe, managers, seen)).StateHash);
        Assert.Equal(flipped - 1, seen.Started);
        Assert.Contains(seen.Notices, line => line.Contains("damaged", StringComparison.Ordinal));
        Assert.Contains(seen.Notices, line => line.Contains("no checkpoint was read", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Memory_of_a_shape_that_nobody_has_any_more_is_carried_into_the_present_one()
    {
        // As where all are lost while the shape is small: those that come after them are more, and have nothing.
        using var managers = new SnapshotManagers(place, 2, "xor");
        await Assert.ThrowsAnyAsync<Exception>(() => Launch("killed", Recipe("{ pipeline: 2, zero: 1 }"), managers, new Watcher(managers)));
        await managers.Lose(0);
        var seen = new Watcher(null);
        var recipe = Recipe("{ data: 3, zero: 1 }");
        var result = await Launch("killed", recipe, managers, seen);
        Assert.True(result.Completed && seen.Started > 0);
        Assert.Contains(seen.Notices, line => line.Contains("resuming from memory at step", StringComparison.Ordinal) && line.Contains("1 slice from own memory, 1 slice from parity", StringComparison.Ordinal)
            && line.Contains("data=3,tensor=1,pipeline=1,zero=1 has what was kept of data=1,tensor=1,pipeline=2,zero=1, layers 1/1", StringComparison.Ordinal));
        Assert.Equal((await Launch("through", recipe, null, new Watcher(null))).Loss, result.Loss, 1e-3 * result.Loss);
    }

    [Fact]
    public async Task Memory_of_a_shape_of_more_processes_is_not_used_and_that_is_told()
    {
        using var managers = new SnapshotManagers(place, 1, "none");
        await Assert.ThrowsAnyAsync<Exception>(() => Launch("killed", Recipe("{ data: 3, zero: 1 }"), managers, new Watcher(managers)));
        var seen = new Watcher(null);
        Assert.True((await Launch("killed", Recipe("{ tensor: 2 }"), managers, seen)).Completed);
        Assert.Equal(0, seen.Started);
        Assert.Contains(seen.Notices, line => line.Contains("another shape", StringComparison.Ordinal));
    }

    /// <summary>All processes of a run die once memory has a snapshot; how the run ends that nobody disturbed.</summary>
    private async Task<RunResult> KillAll(Recipe recipe, SnapshotManagers managers)
    {
        var truth = await Launch("through", recipe, null, new Watcher(null));
        await Assert.ThrowsAnyAsync<Exception>(() => Launch("killed", recipe, managers, new Watcher(managers)));
        return truth;
    }

    private async Task<RunResult> Launch(string run, Recipe recipe, SnapshotManagers? managers, Watcher seen)
    {
        using var store = new MemoryStore();
        var hub = new Doomed(new ThreadHub(), seen);
        return (await Task.WhenAll(Enumerable.Range(0, recipe.Parallel!.Shape.Ranks).Select(rank => Worker(run, recipe, managers, store, hub, rank, seen))))[0];
    }

    private Task<RunResult> Worker(string run, Recipe recipe, SnapshotManagers? managers, IMembershipStore store, ICommunicatorFactory hub, int rank, Watcher seen) => Task.Factory.StartNew(
        () => new TrainingRun(House.Components).Execute(recipe, new TrainingRunOptions
        {
            RunFolder = Path.Combine(place, run), MeasureCeiling = _ => 1e9, Memory = managers?.Settings,
            Parallel = new ParallelSettings
            {
                Store = store, Groups = hub, Run = run, Rank = rank, WorldSize = recipe.Parallel!.Shape.Ranks, Lease = TimeSpan.FromSeconds(recipe.Parallel.Reshape == ReshapeChoice.Shrink ? 10 : 1), Patience = TimeSpan.FromSeconds(60),
                Node = managers?.NodeOf(rank, recipe.Parallel.Shape.Ranks) ?? "here",
            },
        }, [seen]), TaskCreationOptions.LongRunning);

    /// <summary>Every process of it dies in the same all-reduce, which comes soon after memory has a snapshot.</summary>
    private sealed class Doomed(ThreadHub hub, Watcher seen) : ICommunicatorFactory
    {
        public ICommunicator Create(GroupSettings settings, CancellationToken cancellation = default) => new DyingCommunicator(hub.Join(settings, cancellation), call =>
        {
            // All ranks are in the same call, or a step of it before or behind.
            seen.Called(call);
            return seen.IsLast(call);
        });
    }

    /// <summary>Remembers what was told, and where it is given managers: holds the run up until they have memory for all ranks, and then dooms it.</summary>
    private sealed class Watcher(SnapshotManagers? managers, Action<RunEvent>? also = null) : IRunObserver
    {
        private readonly Lock gate = new();
        private readonly List<RunEvent> events = [];
        private int last = int.MaxValue, called;

        public IReadOnlyList<string> Notices => [.. Of<Notice>().Select(notice => notice.Message)];

        public IReadOnlyList<string> Recoveries => [.. Of<Recovered>().Select(recovered => recovered.Reason)];

        public long Started => Of<RunStarted>().Single().StartStep;

        public void Called(int call) => Volatile.Write(ref called, call);

        public bool IsLast(int call) => call == Volatile.Read(ref last);

        public void Observe(RunEvent happened)
        {
            lock (gate) events.Add(happened);
            also?.Invoke(happened);
            if (managers is null || happened is not StepDone step || Volatile.Read(ref last) < int.MaxValue) return;
            if (step.Step == 1) managers.AwaitTrainers();
            else if (managers.HaveStep(3)) Volatile.Write(ref last, Volatile.Read(ref called) + 8);
            // Managers write snapshots down beside the steps and tell no trainer: steps this small would be over first.
            else Thread.Sleep(20);
        }

        private List<T> Of<T>()
        {
            lock (gate) return [.. events.OfType<T>()];
        }
    }
}
