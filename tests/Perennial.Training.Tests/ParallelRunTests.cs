using Perennial.Core;
using Perennial.Core.Recipes;
using Perennial.Data;
using Perennial.Models;
using Perennial.Objectives;
using Perennial.Optimization;
using Perennial.Resilience.Groups;
using Perennial.Resilience.Membership;
using Perennial.Tensors;
using Perennial.Training.Parallel;
using Perennial.Training.Recipes;
using Perennial.Training.Runs;

namespace Perennial.Training.Tests;

/// <summary>Several processes (here: threads) train one recipe as one process does, whoever is lost on the way.</summary>
public sealed class ParallelRunTests : IDisposable
{
    private readonly string place = Directory.CreateTempSubdirectory("perennial-parallel-").FullName;
    private readonly ComponentRegistry components = House.Components;

    public ParallelRunTests()
    {
        TorchRuntime.EnsureLoaded();
        File.WriteAllText(Path.Combine(place, "text.txt"), string.Concat(Enumerable.Range(0, 3000).Select(i => $"the square of {i} is {(long)i * i}.\n\n")));
    }

    public void Dispose() => Directory.Delete(place, recursive: true);

    private Recipe Recipe(int steps = 24, params string[] set) => new RecipeLoader(components).Parse($$"""
        name: parallel
        data:
          sources: [{ path: {{Path.Combine(place, "text.txt")}}, split: paragraph }]
          tokenizer: { kind: bpe, vocabulary: 300 }
          cache: {{Path.Combine(place, "cache")}}
        model: { kind: llama, layers: 1, width: 16, heads: 2, context: 16 }
        optimizer: { rate: 1e-2 }
        training: { steps: {{steps}}, batch: 7, precision: float32, threads: 1 }
        practices: [{ kind: ema, decay: 0.9 }]
        resilience: { checkpoint: 8 steps, keep: 2 }
        evaluation: { every: 0 steps, tasks: [], prompts: [] }
        """, "parallel.yaml", set);

    private Task<RunResult> Worker(string run, IMembershipStore store, ICommunicatorFactory hub, int rank, int size, IRunObserver observer, int steps = 24, params string[] set) => Task.Factory.StartNew(
        () => new TrainingRun(components).Execute(Recipe(steps, set), new TrainingRunOptions
        {
            MeasureCeiling = _ => 1e9, RunFolder = Path.Combine(place, run),
            Parallel = new ParallelSettings { Store = store, Groups = hub, Run = run, Rank = rank, WorldSize = size, Lease = TimeSpan.FromSeconds(2) },
        }, [observer]), TaskCreationOptions.LongRunning);

    private RunResult Alone(int steps = 24, params string[] set) => new TrainingRun(components).Execute(Recipe(steps, set), new TrainingRunOptions { RunFolder = Path.Combine(place, $"alone-{steps}") }, []);

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public async Task Learns_what_one_process_learns_from_the_same_samples(int size)
    {
        using var store = new MemoryStore();
        var (hub, seen) = (new ThreadHub(), new Recorder());
        var results = await Task.WhenAll(Enumerable.Range(0, size).Select(rank => Worker($"of-{size}", store, hub, rank, size, seen)));
        Assert.Single(results.Select(result => result.StateHash).Distinct());
        Assert.Equal(Alone().Loss, results[0].Loss, 2e-5);
        Assert.Equal(size * 1e9, Assert.Single(seen.Of<RunStarted>()).CeilingFlops);
        var committed = seen.Of<SamplesCommitted>();
        Assert.Equal(Enumerable.Range(1, 24).Select(step => (long)step), committed.Select(step => step.Step));
        Assert.All(committed, step => Assert.Equal((size, 7), (step.ByRank.Count, step.ByRank.Sum(ids => ids.Count))));
        Assert.Equal(24 * 7, committed.SelectMany(step => step.ByRank).SelectMany(ids => ids).Distinct().Count());
    }

    [Theory]
    [InlineData(0)]
    [InlineData(2)]
    public async Task Goes_on_without_a_lost_process_and_takes_a_new_one_in(int victim)
    {
        using var store = new MemoryStore();
        var (hub, seen) = (new ThreadHub(), new Recorder());
        var doomed = new DyingFactory(hub);
        var workers = Enumerable.Range(0, 3).Select(rank => Worker("lossy", store, rank == victim ? doomed : hub, rank, 3, rank == victim && victim != 0 ? new Recorder() : seen, 60)).ToList();
        await Assert.ThrowsAsync<SimulatedDeathException>(() => workers[victim]);
        var newcomer = Worker("lossy", store, hub, 3, 3, seen, 60);
        var results = await Task.WhenAll(workers.Where((_, rank) => rank != victim).Append(newcomer));
        Assert.Single(results.Select(result => result.StateHash).Distinct());
        Assert.Equal(Alone(60).Loss, results[0].Loss, 2e-4);
        // A new leader tells of the last step again: the same samples.
        var committed = seen.Of<SamplesCommitted>().GroupBy(step => step.Step).ToList();
        Assert.Equal(Enumerable.Range(1, 60).Select(step => (long)step), committed.Select(step => step.Key).Order());
        Assert.All(committed, tellings => Assert.Single(tellings.Select(step => string.Join(',', step.ByRank.SelectMany(ids => ids))).Distinct()));
        Assert.NotEmpty(seen.Of<Recovered>());
    }

    [Theory]
    [InlineData("elastic")]
    [InlineData("reroute")]
    public async Task With_exact_sums_a_run_with_losses_ends_in_the_bits_of_one_process_alone(string policy)
    {
        string[] set = ["training.sums=exact", "training.micro-batch=2", "model.dropout=0.1", $"resilience.policy={policy}"];
        using var store = new MemoryStore();
        var (hub, seen) = (new ThreadHub(), new Recorder());
        var workers = Enumerable.Range(0, 3).Select(rank => Worker("exact", store, rank == 1 ? new DyingFactory(hub) : hub, rank, 3, rank == 0 ? seen : new Recorder(), 30, set)).ToList();
        await Assert.ThrowsAsync<SimulatedDeathException>(() => workers[1]);
        var results = await Task.WhenAll(workers[0], workers[2]);
        Assert.Equal(Alone(30, set).StateHash, results[0].StateHash);
        Assert.Equal(results[0].StateHash, results[1].StateHash);
        var recovered = Assert.Single(seen.Of<Recovered>());
        Assert.Equal((3, 2), (recovered.Before, recovered.After));
        Assert.True(recovered.Phases is { Detect: >= 0, Agree: > 0, Group: > 0, Plan: > 0, Move: > 0, Replay: > 0 }, $"{recovered.Phases}");
    }

    [Fact]
    public async Task Drop_replica_learns_without_the_lost_rows()
    {
        using var store = new MemoryStore();
        var (hub, seen) = (new ThreadHub(), new Recorder());
        var workers = Enumerable.Range(0, 3).Select(rank => Worker("dropping", store, rank == 1 ? new DyingFactory(hub) : hub, rank, 3, rank == 0 ? seen : new Recorder(), 30, "resilience.policy=drop-replica")).ToList();
        await Assert.ThrowsAsync<SimulatedDeathException>(() => workers[1]);
        var results = await Task.WhenAll(workers[0], workers[2]);
        Assert.Equal(results[0].StateHash, results[1].StateHash);
        // Of seven rows the three places have 2, 2 and 3; the second place's are lost from the recovery on.
        var counts = seen.Of<SamplesCommitted>().Select(step => step.ByRank.Sum(ids => ids.Count)).ToList();
        Assert.Equal(30, counts.Count);
        Assert.Equal([7, 5], counts.Distinct());
        Assert.Equal(counts.Sum() * 16, results[0].Tokens);
    }

    [Fact]
    public async Task Restart_ends_every_process_with_the_code_that_asks_for_it()
    {
        using var store = new MemoryStore();
        var hub = new ThreadHub();
        var workers = Enumerable.Range(0, 3).Select(rank => Worker("restarting", store, rank == 1 ? new DyingFactory(hub) : hub, rank, 3, new Recorder(), 30, "resilience.policy=restart")).ToList();
        await Assert.ThrowsAsync<SimulatedDeathException>(() => workers[1]);
        foreach (var survivor in new[] { workers[0], workers[2] })
            Assert.Equal(ExitCode.StartAgain, (await Assert.ThrowsAsync<PerennialException>(() => survivor)).Code);
    }

    /// <summary>Its process dies in the 21st collective call of a step: without a word, as by SIGKILL.</summary>
    private sealed class DyingFactory(ThreadHub hub) : ICommunicatorFactory
    {
        public ICommunicator Create(GroupSettings settings, CancellationToken cancellation = default) => new DyingCommunicator(hub.Join(settings, cancellation), 21);
    }
}
