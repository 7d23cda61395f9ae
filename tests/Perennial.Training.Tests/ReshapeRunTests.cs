using Perennial.Core.Recipes;
using Perennial.Resilience.Groups;
using Perennial.Resilience.Membership;
using Perennial.Training.Parallel;
using Perennial.Training.Recipes;
using Perennial.Training.Runs;

namespace Perennial.Training.Tests;

/// <summary>Runs under <c>parallel:</c> that lose processes (here: threads), go on in a smaller shape, and take the recipe's again.</summary>
public sealed class ReshapeRunTests(PreparedText text) : IClassFixture<PreparedText>, IDisposable
{
    // Three layers of this model fit on three processes of such a machine, and not on two; or on two, and not on one.
    private const long Small = 4_200_000;
    private readonly string place = Directory.CreateTempSubdirectory("perennial-reshape-").FullName;
    private readonly ComponentRegistry components = House.Components;

    public void Dispose() => Directory.Delete(place, recursive: true);

    private Recipe Recipe(string? parallel, string optimizer = "adamw") => new RecipeLoader(components).Parse($$"""
        name: reshaped
        data: {{text.Data()}}
        model: { kind: llama, layers: 3, width: 32, heads: 2, context: 16, dropout: 0.1 }
        optimizer: { kind: {{optimizer}}, rate: 5e-3, clip: 0 }
        training: { steps: 13, batch: 6, micro-batch: 1, precision: float32, threads: 1 }
        practices: [{ kind: ema, decay: 0.9 }]
        resilience: { checkpoint: 4 steps, keep: 2 }
        evaluation: { every: 0 steps, tasks: [], prompts: [] }
        schedule: { kind: constant }
        {{(parallel is null ? "" : $"parallel: {parallel}")}}
        """, "reshaped.yaml");

    private Task<RunResult> Worker(Recipe recipe, IMembershipStore store, ICommunicatorFactory hub, int rank, IRunObserver seen, long? bytes = null) => Task.Factory.StartNew(
        () => new TrainingRun(components).Execute(recipe, new TrainingRunOptions
        {
            RunFolder = Path.Combine(place, "lossy"), MeasureCeiling = _ => 1e9,
            Parallel = new ParallelSettings { Store = store, Groups = hub, Run = "lossy", Rank = rank, WorldSize = recipe.Parallel!.Shape.Ranks, Lease = TimeSpan.FromSeconds(10), Patience = TimeSpan.FromSeconds(60), StateBytes = bytes },
        }, [seen]), TaskCreationOptions.LongRunning);

    private Recorder Undisturbed(string optimizer = "adamw")
    {
        var seen = new Recorder();
        new TrainingRun(components).Execute(Recipe(null, optimizer), new TrainingRunOptions { RunFolder = Path.Combine(place, "alone") }, [seen]);
        return seen;
    }

    [Theory]
    // Layers of the lost replica are with its peers: every replica gets those that it lacks.
    [InlineData("{ data: 2, pipeline: 2 }", 1, false, "data=3,tensor=1,pipeline=1,zero=0", "from peers' memory", 1e-3, "muon")]
    // The leader is lost, and no process can hold more than a third of the model.
    [InlineData("{ data: 2, pipeline: 2 }", 0, true, "data=1,tensor=1,pipeline=3,zero=0, layers 1/1/1", "from peers' memory", 1e-3, "adamw")]
    // Nobody else has a rank's piece of the optimizer's state.
    [InlineData("{ data: 2, pipeline: 2, zero: 1 }", 2, false, "data=3,tensor=1,pipeline=1,zero=1", "resuming from", 1e-3, "adamw")]
    [InlineData("{ data: 2, tensor: 2 }", 3, false, "data=1,tensor=2,pipeline=1,zero=0, 1 standing by", "from peers' memory", 1e-3, "adamw")]
    // A pipeline adds in the order of one process, however its layers are cut.
    [InlineData("{ pipeline: 3 }", 1, true, "data=1,tensor=1,pipeline=2,zero=0, layers 1/2", "resuming from", 0, "adamw")]
    public async Task A_lost_process_makes_the_shape_smaller_and_a_new_one_makes_it_whole(string parallel, int victim, bool isSmall, string shape, string how, double tolerance, string optimizer)
    {
        var (recipe, truth, bytes) = (Recipe(parallel, optimizer), Undisturbed(optimizer), isSmall ? Small : (long?)null);
        var size = recipe.Parallel!.Shape.Ranks;
        using var store = new MemoryStore();
        var hub = new ThreadHub();
        var (shrunk, complete) = (new TaskCompletionSource(), new ManualResetEventSlim());
        var seen = new Recorder(happened =>
        {
            if (happened is Recovered) shrunk.TrySetResult();
            // The run must not end before the newcomer is there.
            if (happened is StepDone { Step: 11 }) complete.Wait(TimeSpan.FromMinutes(1));
        });
        var workers = Enumerable.Range(0, size).Select(rank => Worker(recipe, store, rank == victim ? new Mortal(hub, (1, 15)) : hub, rank, seen, bytes)).ToList();
        await Assert.ThrowsAsync<SimulatedDeathException>(() => workers[victim]);
        await shrunk.Task.WaitAsync(TimeSpan.FromMinutes(2));
        workers[victim] = Worker(recipe, store, hub, victim, seen, bytes);
        Assert.True(SpinWait.SpinUntil(() => Epoch.Parse(store.Get(new MembershipKeys("lossy").Epoch)!).Members.Count == size, TimeSpan.FromMinutes(1)));
        complete.Set();
        Assert.All(await Task.WhenAll(workers), result => Assert.True(result.Completed));
        var (first, last) = (seen.Of<Recovered>()[0], seen.Of<Recovered>()[^1]);
        Assert.Contains($"going on as {shape}", first.Reason, StringComparison.Ordinal);
        Assert.Contains(how, first.Reason, StringComparison.Ordinal);
        Assert.Equal((size, size - 1), (first.Before, first.After));
        // Where a newcomer leads it tells of its start.
        if (victim > 0) Assert.Equal((size - 1, size, true), (last.Before, last.After, last.IsGrowth));
        if (victim > 0) Assert.Contains($"going on as {recipe.Parallel.Shape}", last.Reason, StringComparison.Ordinal);
        Same(truth, seen, tolerance);
    }

    [Fact]
    public async Task A_second_loss_in_the_middle_of_the_change_makes_it_smaller_still()
    {
        var (recipe, truth, seen) = (Recipe("{ data: 2, pipeline: 2 }"), Undisturbed(), new Recorder());
        using var store = new MemoryStore();
        var hub = new ThreadHub();
        // Rank 2 dies when its part was sent to the others and they have not told each other so.
        var workers = Enumerable.Range(0, 4).Select(rank => Worker(recipe, store, rank == 1 ? new Mortal(hub, (1, 15)) : rank == 2 ? new Mortal(hub, (2, 1)) : hub, rank, seen)).ToList();
        await Assert.ThrowsAsync<SimulatedDeathException>(() => workers[1]);
        await Assert.ThrowsAsync<SimulatedDeathException>(() => workers[2]);
        Assert.All(await Task.WhenAll(workers[0], workers[3]), result => Assert.True(result.Completed));
        var recovered = Assert.Single(seen.Of<Recovered>());
        Assert.Equal((4, 2), (recovered.Before, recovered.After));
        Assert.Contains("going on as data=2,tensor=1,pipeline=1,zero=0", recovered.Reason, StringComparison.Ordinal);
        Same(truth, seen, 1e-3);
    }

    [Fact]
    public async Task A_process_that_stands_by_takes_the_place_of_the_next_that_is_lost()
    {
        var (recipe, truth, seen) = (Recipe("{ data: 2, tensor: 2 }"), Undisturbed(), new Recorder());
        using var store = new MemoryStore();
        var hub = new ThreadHub();
        var workers = Enumerable.Range(0, 4).Select(rank => Worker(recipe, store, rank == 3 ? new Mortal(hub, (1, 15)) : rank == 0 ? new Mortal(hub, (2, 200)) : hub, rank, seen)).ToList();
        await Assert.ThrowsAsync<SimulatedDeathException>(() => workers[3]);
        await Assert.ThrowsAsync<SimulatedDeathException>(() => workers[0]);
        Assert.All(await Task.WhenAll(workers[1], workers[2]), result => Assert.True(result.Completed));
        Assert.Contains(", 1 standing by", seen.Of<Recovered>()[0].Reason, StringComparison.Ordinal);
        // What the leader alone had is on disk.
        Assert.Contains("resuming from", seen.Of<Recovered>()[^1].Reason, StringComparison.Ordinal);
        Same(truth, seen, 1e-3);
    }

    /// <summary>Every step learned from the samples that it learns from undisturbed, each once, and came to the same loss.</summary>
    private static void Same(Recorder truth, Recorder seen, double tolerance)
    {
        var steps = truth.Of<StepDone>();
        Assert.Equal(Enumerable.Range(1, 13).Select(step => (long)step), seen.Of<StepDone>().Select(done => done.Step).Distinct().Order());
        foreach (var step in steps) Assert.All(seen.Of<StepDone>().Where(done => done.Step == step.Step), done => Assert.Equal(step.Loss, done.Loss, tolerance * step.Loss));
        var samples = seen.Of<SamplesCommitted>().ToLookup(step => step.Step, step => step.ByRank.SelectMany(ids => ids).Order().ToList());
        Assert.All(samples.SelectMany(step => step), ids => Assert.Equal(6, ids.Distinct().Count()));
        Assert.Equal(13 * 6, samples.Select(step => step.Last()).SelectMany(ids => ids).Distinct().Count());
    }

    /// <summary>Its process dies without a word in the n-th call to the m-th world that it meets, or to a later one where that gave way before.</summary>
    private sealed class Mortal(ThreadHub hub, (int World, int Call) end) : ICommunicatorFactory
    {
        private int worlds;

        public ICommunicator Create(GroupSettings settings, CancellationToken cancellation = default)
        {
            var world = ++worlds;
            return new DyingCommunicator(hub.Join(settings, cancellation), call => world >= end.World && call == end.Call) { InChildren = world > 1 };
        }
    }
}
