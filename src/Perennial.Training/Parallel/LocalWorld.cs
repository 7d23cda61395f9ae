using System.Runtime.ExceptionServices;
using Perennial.Data;
using Perennial.Models;
using Perennial.Objectives;
using Perennial.Optimization;
using Perennial.Resilience.Groups;
using Perennial.Resilience.Layouts;
using Perennial.Resilience.Plans;
using Perennial.Resilience.Universal;
using Perennial.Tensors;
using Perennial.Training.Loop;
using static TorchSharp.torch;

namespace Perennial.Training.Parallel;

/// <summary>What a step of a <see cref="LocalWorld"/> came to.</summary>
/// <param name="Loss">Loss of the whole batch, nats a target.</param>
/// <param name="Norm">Norm of the whole gradient before clipping.</param>
public readonly record struct WorldStep(double Loss, double Norm);

/// <summary>One rank of a <see cref="LocalWorld"/>.</summary>
public sealed class LocalRank : IDisposable
{
    internal LocalRank(DecoderPlacement placement, int rank, Precision precision, Func<FlatParameters, IOptimizer> optimizer)
    {
        Decoder = new ParallelDecoder(placement, rank, precision);
        Optimizer = optimizer(Decoder.Trained);
        State = new ShardedState(Decoder, Optimizer.Slots);
    }

    /// <summary>Its part of the model.</summary>
    public ParallelDecoder Decoder { get; }

    /// <summary>Its optimizer.</summary>
    public IOptimizer Optimizer { get; }

    /// <summary>Its state.</summary>
    public ShardedState State { get; }

    /// <inheritdoc/>
    public void Dispose()
    {
        Optimizer.Dispose();
        Decoder.Dispose();
    }
}

/// <summary>
/// All ranks of a parallel shape in one process, a thread each: the same parts as in a run of processes, without data, recipe and run folder.
/// For experiments on layouts and for tests.
/// </summary>
public sealed class LocalWorld : IDisposable
{
    private readonly CausalObjective objective = new();
    private readonly int microRows;
    private readonly LocalRank[] ranks;

    /// <summary>Makes and joins all ranks, over zeroed parameters.</summary>
    /// <param name="config">The model.</param>
    /// <param name="shape">The shape.</param>
    /// <param name="optimizer">Makes the optimizer of a rank.</param>
    /// <param name="microRows">Rows of a micro-batch.</param>
    /// <param name="precision">Precision of matrix products.</param>
    /// <param name="atTensors">Whether ZeRO must cut between tensors only.</param>
    public LocalWorld(DecoderConfig config, ParallelShape shape, Func<FlatParameters, IOptimizer> optimizer, int microRows = 2, Precision precision = Precision.Float32, bool atTensors = false)
    {
        ArgumentNullException.ThrowIfNull(shape);
        this.microRows = microRows;
        Placement = new DecoderPlacement(config, shape, atTensors);
        ranks = [.. Enumerable.Range(0, shape.Ranks).Select(rank => new LocalRank(Placement, rank, precision, optimizer))];
        var hub = new ThreadHub();
        Each(rank =>
        {
            rank.Decoder.Join(hub.Create(new GroupSettings { Name = "world", Rank = rank.Decoder.Rank, Size = shape.Ranks }));
            rank.State.Meet();
        });
    }

    /// <summary>Where everything is.</summary>
    public DecoderPlacement Placement { get; }

    /// <summary>The ranks.</summary>
    public IReadOnlyList<LocalRank> Ranks => ranks;

    /// <summary>The layout of the state.</summary>
    public StateLayout Layout => ranks[0].State.Layout;

    /// <summary>Fresh weights.</summary>
    public void Initialize(ulong seed) => Each(rank => rank.Decoder.Initialize(seed));

    /// <summary>Forward and backward of a batch and, unless it is only looked at, an update.</summary>
    /// <param name="batch">The whole batch; each data index takes its rows.</param>
    /// <param name="step">Number of the update, from 1; 0 computes loss and norm and moves nothing.</param>
    /// <param name="rate">Learning rate.</param>
    /// <param name="clip">Largest gradient norm; 0 for none.</param>
    public WorldStep Step(TokenBatch batch, long step, double rate = 1e-3, double clip = 1)
    {
        ArgumentNullException.ThrowIfNull(batch);
        var results = new WorldStep[ranks.Length];
        Each(rank => results[rank.Decoder.Rank] = Step(rank, batch, step, rate, clip));
        return results[0];
    }

    /// <summary>Saves the state: every rank writes its own file, then one the manifest.</summary>
    /// <param name="folder">An existing folder.</param>
    /// <param name="progress">What is not a tensor.</param>
    /// <param name="canary">The canary batch, if there is one.</param>
    public UniversalManifest Save(string folder, ProgressRecord progress, Canary? canary = null)
    {
        var save = Guid.NewGuid().ToString("N");
        Each(rank => UniversalWriter.WriteRank(folder, save, Layout, rank.Decoder.Rank, rank.State.Buffers(), progress));
        return UniversalWriter.Finish(folder, save, Layout, canary: canary);
    }

    /// <summary>Loads a state: every rank reads what it needs; the transition gate judges before anything is used.</summary>
    /// <returns>What each rank read.</returns>
    /// <exception cref="Core.PerennialException">Exit 3: damaged, or not what was saved.</exception>
    public IReadOnlyList<UniversalLoad> Load(string folder)
    {
        var loads = new UniversalLoad[ranks.Length];
        var evidence = new RankEvidence[ranks.Length];
        StateSummary? expected = null;
        Each(rank =>
        {
            using var checkpoint = UniversalCheckpoint.Open(folder);
            var number = rank.Decoder.Rank;
            loads[number] = checkpoint.Load(Layout, number, rank.State.Buffers(), rank.Decoder.Groups.World);
            evidence[number] = RankEvidence.Gather(Layout, number, rank.State.Buffers(), checkpoint.Manifest.Summary.Progress, loads[number].Ledgers);
            if (number == 0) expected = checkpoint.Expected(Layout);
        });
        TransitionGate.Require(expected!, Layout, evidence);
        foreach (var rank in ranks) rank.Decoder.Model.ParametersChanged();
        return loads;
    }

    /// <summary>Runs something on every rank at once, a thread each; the first error ends all.</summary>
    public void Each(Action<LocalRank> body)
    {
        ArgumentNullException.ThrowIfNull(body);
        ExceptionDispatchInfo? first = null;
        var threads = ranks.Select(rank => new Thread(() =>
        {
            try
            {
                set_num_threads(1);
                using var scope = NewDisposeScope();
                body(rank);
            }
            catch (Exception error)
            {
                Interlocked.CompareExchange(ref first, ExceptionDispatchInfo.Capture(error), null);
                rank.Decoder.Leave();
            }
        })
        { IsBackground = true, Name = $"rank {rank.Decoder.Rank}" }).ToList();
        threads.ForEach(thread => thread.Start());
        threads.ForEach(thread => thread.Join());
        first?.Throw();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var rank in ranks) rank.Dispose();
    }

    private WorldStep Step(LocalRank rank, TokenBatch batch, long step, double rate, double clip)
    {
        var (decoder, shape) = (rank.Decoder, Placement.Shape);
        IPasses passes = shape.Pipeline > 1 ? new PipelinePasses(objective, decoder.Model, () => decoder.Groups.Pipeline, decoder.Clock) : new PlainPasses(() => objective, decoder.Model);
        var mine = BatchRows.Take(batch, ParallelShares.Of(batch.Rows, shape.Data)[decoder.Place.Data]);
        decoder.Model.Parameters.ClearGradients();
        var loss = passes.Run(mine.Rows > 0 ? [.. MicroBatches.Of(mine, microRows)] : [], Math.Max(1, objective.Targets(batch)), _ => { }, () => { });
        decoder.Model.Parameters.CompleteGradients();
        decoder.Reduce();
        double[] sum = [decoder.CountsLoss ? loss : 0];
        decoder.Groups.World.AllReduce<double>(sum);
        var norm = decoder.Norm();
        if (step > 0)
        {
            using (no_grad()) rank.Optimizer.Step(step, rate, norm.ClipScale(clip));
            decoder.Publish();
        }
        return new(sum[0], norm.Value);
    }
}

/// <summary>Which rows of a batch each of several processes takes.</summary>
public static class ParallelShares
{
    /// <summary>Contiguous, every row once, sizes that differ by at most one.</summary>
    public static IReadOnlyList<Range> Of(int rows, int processes) => [.. Enumerable.Range(0, processes).Select(index => (rows * index / processes)..(rows * (index + 1) / processes))];
}
