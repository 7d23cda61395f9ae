using Perennial.Core;
using Perennial.Core.Recipes;
using Perennial.Data;
using Perennial.Models;
using Perennial.Objectives;
using Perennial.Optimization;
using Perennial.Resilience.Groups;
using Perennial.Resilience.Membership;
using Perennial.Tensors;
using Perennial.Training.Checkpoints;
using Perennial.Training.Parallel;
using Perennial.Training.Recipes;
using Perennial.Training.Runs;

namespace Perennial.Training.Tests;

/// <summary>Whole runs under <c>parallel:</c>, each process a thread: what is learned, saved, and taken up again under another shape.</summary>
public sealed class FixedRunTests(PreparedText text) : IClassFixture<PreparedText>, IDisposable
{
    private readonly string place = Directory.CreateTempSubdirectory("perennial-fixed-").FullName;
    private readonly ComponentRegistry components = House.Components;

    public void Dispose() => Directory.Delete(place, recursive: true);

    // A process that is held up for longer than its lease is not lost here: the shape stays as it is (ReshapeRunTests looks at the other way).
    private Recipe Recipe(string? parallel, int steps = 12, string more = "", string optimizer = "{ rate: 1e-2 }", string schedule = "{ kind: constant }") => new RecipeLoader(components).Parse($$"""
        name: fixed
        data: {{text.Data()}}
        model: { kind: llama, layers: 2, width: 32, heads: 2, key-value-heads: 1, context: 16 }
        optimizer: {{optimizer}}
        training: { steps: {{steps}}, batch: 6, micro-batch: 1, precision: float32, threads: 1 }
        practices: [{ kind: ema, decay: 0.9 }]
        resilience: { checkpoint: 4 steps, keep: 2 }
        evaluation: { every: 0 steps, tasks: [], prompts: [] }
        schedule: {{schedule}}
        {{(parallel is null ? "" : $"parallel: {parallel[..^1]}, reshape: wait }}")}}
        {{more}}
        """, "fixed.yaml");

    private RunResult Launch(string run, string parallel, int steps, Recorder seen, long? stop = null, string optimizer = "{ rate: 1e-2 }", string schedule = "{ kind: constant }")
    {
        var recipe = Recipe(parallel, steps, optimizer: optimizer, schedule: schedule);
        var size = recipe.Parallel!.Shape.Ranks;
        using var store = new MemoryStore();
        var hub = new ThreadHub();
        var workers = Enumerable.Range(0, size).Select(rank => Worker(run, recipe, store, hub, rank, size, seen, stop)).ToList();
        var first = Task.WhenAny(workers).Result;
        if (first.IsFaulted) first.GetAwaiter().GetResult();
        return Task.WhenAll(workers).Result[0];
    }

    private Task<RunResult> Worker(string run, Recipe recipe, IMembershipStore store, ICommunicatorFactory hub, int rank, int size, Recorder seen, long? stop = null, Interruption? interruption = null) => Task.Factory.StartNew(
        () => new TrainingRun(components).Execute(recipe, new TrainingRunOptions
        {
            RunFolder = Path.Combine(place, run), StopAtStep = stop, MeasureCeiling = _ => 1e9,
            Parallel = new ParallelSettings { Store = store, Groups = hub, Run = run, Rank = rank, WorldSize = size, Lease = TimeSpan.FromSeconds(1), Patience = TimeSpan.FromSeconds(60), Interruption = interruption },
        }, [seen]), TaskCreationOptions.LongRunning);

    private RunResult Alone(string run, int steps, Recorder? seen = null, string optimizer = "{ rate: 1e-2 }") => new TrainingRun(components).Execute(Recipe(null, steps, optimizer: optimizer), new TrainingRunOptions { RunFolder = Path.Combine(place, run) }, [seen ?? new Recorder()]);

    [Theory]
    [InlineData("{ tensor: 2 }")]
    [InlineData("{ data: 2, pipeline: 2, zero: 1 }")]
    public void Learns_what_one_process_learns(string parallel)
    {
        var seen = new Recorder();
        var result = Launch("many", parallel, 12, seen);
        // Utilization is of what all processes can do.
        Assert.All(seen.Of<RunStarted>(), started => Assert.Equal(Recipe(parallel, 12).Parallel!.Shape.Ranks * 1e9, started.CeilingFlops));
        Assert.Equal(Alone("one", 12).Loss, result.Loss, 1e-4);
        Assert.Equal(Enumerable.Range(1, 12).Select(step => (long)step), seen.Of<StepDone>().Select(step => step.Step));
        Assert.Equal(12 * 6, seen.Of<SamplesCommitted>().SelectMany(step => step.ByRank).SelectMany(ids => ids).Distinct().Count());
        Assert.Equal([4, 8, 12], seen.Of<CheckpointWritten>().Select(written => written.Step).Where(step => step > 0));
    }

    [Fact]
    public void A_run_goes_on_under_any_other_shape()
    {
        var through = new Recorder();
        Alone("through", 15, through);
        var seen = new Recorder();
        Launch("run", "{ data: 2, tensor: 2, zero: 1 }", 3, seen);
        Launch("run", "{ pipeline: 2 }", 6, seen);
        Alone("run", 9, seen);
        Launch("run", "{ data: 3, zero: 1 }", 12, seen);
        Launch("run", "{ tensor: 2, pipeline: 2 }", 15, seen);
        foreach (var (mine, theirs) in seen.Of<StepDone>().Zip(through.Of<StepDone>()))
        {
            Assert.Equal(theirs.Step, mine.Step);
            Assert.Equal(theirs.Loss, mine.Loss, 1e-4 * theirs.Loss);
        }
        Assert.Equal(15, seen.Of<StepDone>().Count);
        Assert.Equal(4, seen.Of<Notice>().Count(notice => notice.Message.Contains("resuming from", StringComparison.Ordinal)));
    }

    public static TheoryData<string> Optimizers() => [.. ComponentRegistry.Scan([typeof(AdamW).Assembly]).Kinds(typeof(IOptimizer))];

    [Theory]
    [MemberData(nameof(Optimizers))]
    public void Every_optimizers_state_is_divided_and_put_together_again(string kind)
    {
        var component = components.All.First(component => component.Kind == kind && component.Contract == typeof(IOptimizer));
        var more = (component.Options!.IsAssignableTo(typeof(IPeriodicOptions)) ? ", update-gap: 3" : "") + (component.Options == typeof(AdamW8BitOptions) ? ", smallest: 64" : "");
        var optimizer = $"{{ kind: {kind}, rate: 2e-3{more} }}";
        var (through, seen) = (new Recorder(), new Recorder());
        Alone("through", 8, through, optimizer);
        Launch("run", "{ data: 2, zero: 1 }", 2, seen, optimizer: optimizer);
        Alone("run", 4, seen, optimizer);
        Launch("run", "{ data: 2, pipeline: 2 }", 6, seen, optimizer: optimizer);
        Launch("run", "{ data: 3, zero: 1 }", 8, seen, optimizer: optimizer);
        Assert.Equal(8, seen.Of<StepDone>().Count);
        foreach (var (mine, theirs) in seen.Of<StepDone>().Zip(through.Of<StepDone>())) Assert.Equal(theirs.Loss, mine.Loss, 2e-4 * theirs.Loss);
        var derived = through.Of<EvaluationDone>().Select(each => each.Weights).Distinct().Order();
        Assert.Equal(derived, seen.Of<EvaluationDone>().Select(each => each.Weights).Distinct().Order());
    }

    [Theory]
    [MemberData(nameof(Optimizers))]
    public void Only_what_moves_whole_matrices_is_refused_under_tensor_parallelism(string kind)
    {
        var component = components.All.First(component => component.Kind == kind && component.Contract == typeof(IOptimizer));
        Recorder seen = new();
        if (typeof(IElementwiseOptimizer).IsAssignableFrom(component.Implementation))
        {
            Launch("run", "{ tensor: 2 }", 2, seen, optimizer: $"{{ kind: {kind}, rate: 2e-3 }}");
            Assert.Equal(2, seen.Of<StepDone>().Count);
            return;
        }
        using var store = new MemoryStore();
        var error = Assert.Throws<PerennialException>(() => Worker("refused", Recipe("{ tensor: 2 }", optimizer: $"{{ kind: {kind}, rate: 2e-3 }}"), store, new ThreadHub(), 0, 2, seen).GetAwaiter().GetResult());
        Assert.Equal(ExitCode.Usage, error.Code);
        Assert.Contains($"'{kind}", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Dropped_connections_cost_a_step_taken_again_and_no_bit()
    {
        var truth = Launch("through", "{ tensor: 2 }", 8, new Recorder());
        using var store = new MemoryStore();
        var (hub, drop) = (new ThreadHub(), new Interruption());
        var seen = new Recorder(happened =>
        {
            if (happened is StepDone { Step: 4 }) drop.Raise("dropped on purpose");
        });
        var workers = Enumerable.Range(0, 2).Select(rank => Worker("dropped", Recipe("{ tensor: 2 }", 8), store, hub, rank, 2, seen, interruption: rank == 0 ? drop : null)).ToList();
        Assert.Equal(truth.StateHash, (await Task.WhenAll(workers))[0].StateHash);
        Assert.Contains("nothing was lost", Assert.Single(seen.Of<Recovered>()).Reason, StringComparison.Ordinal);
        Assert.Equal(8, seen.Of<StepDone>().Count);
    }

    [Fact]
    public void Stopping_and_going_on_under_one_shape_changes_no_bit()
    {
        var through = Launch("through", "{ tensor: 2, pipeline: 2 }", 8, new Recorder());
        Launch("stopped", "{ tensor: 2, pipeline: 2 }", 8, new Recorder(), stop: 5);
        Assert.Equal(through.StateHash, Launch("stopped", "{ tensor: 2, pipeline: 2 }", 8, new Recorder()).StateHash);
    }

    [Theory]
    [InlineData("{ kind: wsd, warmup: 2 steps, decay: 4 steps }", 6)]
    [InlineData("{ kind: linear, warmup: 2 steps }", 10)]
    public void A_longer_plan_goes_on_as_it_would_alone(string schedule, long from)
    {
        const string shape = "{ tensor: 2 }";
        Launch("run", shape, 10, new Recorder(), schedule: schedule);
        var seen = new Recorder();
        var longer = Launch("run", shape, 16, seen, schedule: schedule);
        Assert.Equal(from, seen.Of<RunStarted>().Single().StartStep);
        Assert.Equal(from < 10, Directory.Exists(Path.Combine(place, "run", "annealed", "step-10")));
        foreach (var steps in new[] { 10, 16 }) new TrainingRun(components).Execute(Recipe(null, steps, schedule: schedule), new TrainingRunOptions { RunFolder = Path.Combine(place, "one") }, []);
        // A plan that is not longer than the folder's takes nothing back and adds nothing.
        var again = Launch("run", shape, 16, new Recorder(), schedule: schedule);
        Assert.Equal(longer.StateHash, again.StateHash);
        Assert.Equal(Ends("one"), Ends("run"));

        IReadOnlyList<double> Ends(string run) => CheckpointFiles.ReadProgress(Path.Combine(place, run, "checkpoints", "step-16")) is var progress ? [.. progress.EarlierTotals.Select(total => (double)total), Math.Round(progress.LastLoss, 4)] : [];
    }

    [Theory]
    [InlineData("{ data: 2, tensor: 2 }", "from peers' memory")]
    [InlineData("{ data: 2, zero: 1 }", "resuming from")]
    public async Task A_lost_process_is_replaced_and_nothing_changes(string parallel, string how)
    {
        var through = Launch("through", parallel, 12, new Recorder());
        var recipe = Recipe(parallel);
        var size = recipe.Parallel!.Shape.Ranks;
        using var store = new MemoryStore();
        var (hub, seen) = (new ThreadHub(), new Recorder());
        var workers = Enumerable.Range(0, size).Select(rank => Worker("lossy", recipe, store, rank == 1 ? new DyingFactory(hub, 15) : hub, rank, size, seen)).ToList();
        await Assert.ThrowsAnyAsync<Exception>(() => workers[1]);
        workers[1] = Worker("lossy", recipe, store, hub, 1, size, seen);
        var results = await Task.WhenAll(workers);
        Assert.Equal(through.StateHash, results[0].StateHash);
        Assert.Contains(seen.Of<Recovered>(), recovered => recovered.Reason.Contains(how, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("{ tensor: 2, pipeline: 3 }", 6, "3 stages for 2 layers")]
    [InlineData("{ data: 8, zero: 1 }", 8, "8 processes for 6 windows")]
    [InlineData("{ data: 2, tensor: 2 }", 3, "takes 4 (data * tensor * pipeline); start it with: perennial launch --workers 4")]
    public void Shapes_that_cannot_be_are_refused_at_the_door(string parallel, int size, string says)
    {
        using var store = new MemoryStore();
        var error = Assert.Throws<PerennialException>(() => Worker("refused", Recipe(parallel), store, new ThreadHub(), 0, size, new Recorder()).GetAwaiter().GetResult());
        Assert.Equal(ExitCode.Usage, error.Code);
        Assert.Contains(says, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_recipe_for_several_processes_is_refused_by_one()
    {
        var error = Assert.Throws<PerennialException>(() => new TrainingRun(components).Execute(Recipe("{ tensor: 2 }"), new TrainingRunOptions { RunFolder = Path.Combine(place, "lonely") }, []));
        Assert.Contains("perennial launch --workers 2", error.Message, StringComparison.Ordinal);
        Assert.Contains("zero", Assert.Throws<PerennialException>(() => Recipe("{ zero: 2 }")).Message, StringComparison.Ordinal);
    }

    /// <summary>Its process dies without a word in its n-th call to the world.</summary>
    private sealed class DyingFactory(ThreadHub hub, int calls) : ICommunicatorFactory
    {
        public ICommunicator Create(GroupSettings settings, CancellationToken cancellation = default) => new DyingCommunicator(hub.Join(settings, cancellation), calls);
    }
}

/// <summary>A small text and its cache, prepared once for all tests of a class.</summary>
public sealed class PreparedText : IDisposable
{
    public PreparedText()
    {
        // Not Initialize: the number of threads is the process's, tests run side by side, and MKL's sums differ in their last bits between one thread and two.
        TorchRuntime.EnsureLoaded();
        File.WriteAllText(Path.Combine(Folder, "text.txt"), string.Concat(Enumerable.Range(0, 1000).Select(i => $"the square of {i} is {(long)i * i}.\n\n")));
    }

    public string Folder { get; } = Directory.CreateTempSubdirectory("perennial-text-").FullName;

    /// <summary>A recipe's <c>data:</c>.</summary>
    public string Data(int vocabulary = 301) => $"{{ sources: [{{ path: '{Path.Combine(Folder, "text.txt")}', split: paragraph }}], tokenizer: {{ kind: bpe, vocabulary: {vocabulary} }}, cache: '{Path.Combine(Folder, "cache")}' }}";

    public void Dispose() => Directory.Delete(Folder, recursive: true);
}
