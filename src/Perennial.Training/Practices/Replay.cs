using System.ComponentModel.DataAnnotations;
using System.Text.Json.Nodes;
using Perennial.Core;
using Perennial.Data;
using Perennial.Tensors;
using Perennial.Training.Loop;

namespace Perennial.Training.Practices;

/// <summary>What a replay buffer keeps.</summary>
public enum ReplayKeep
{
    /// <summary>Everything that was trained on.</summary>
    All,

    /// <summary>A uniform sample of everything, of bounded size.</summary>
    Reservoir,

    /// <summary>Equal bounded shares of every source, each a uniform sample.</summary>
    PerSource,
}

/// <summary>Which samples are replayed.</summary>
public enum ReplayFrom
{
    /// <summary>Those of earlier stages; the first stage has none.</summary>
    Earlier,

    /// <summary>Everything trained on so far, the present stage included.</summary>
    Seen,
}

/// <summary>How replay is charged.</summary>
public enum ReplayBudget
{
    /// <summary>A stage's tokens are new ones; replay comes on top, so that a stage takes tokens / (1 − rate).</summary>
    NewTokens,

    /// <summary>A stage's tokens are all that it trains on; replay takes the place of new ones.</summary>
    Total,
}

/// <summary>Options of <see cref="Replay"/>.</summary>
public sealed record ReplayOptions : IFillsBatch
{
    /// <summary>Share of replayed rows, exact over a stage.</summary>
    [Range(0.0, 0.99)]
    public double Rate { get; init; } = 0.25;

    /// <summary>What the buffer keeps.</summary>
    public ReplayKeep Keep { get; init; } = ReplayKeep.All;

    /// <summary>Samples in the buffer (ignored when it keeps all).</summary>
    [Range(1, 1_000_000_000)]
    public Count Capacity { get; init; } = 100_000;

    /// <summary>Which samples come back.</summary>
    public ReplayFrom From { get; init; } = ReplayFrom.Earlier;

    /// <summary>Whether every earlier stage is replayed alike, however long it was (for a buffer that keeps all; one that keeps per source is even over sources).</summary>
    public bool Balanced { get; init; }

    /// <summary>What a stage's tokens count. A stage given in steps counts all rows.</summary>
    public ReplayBudget Budget { get; init; } = ReplayBudget.NewTokens;

    /// <inheritdoc/>
    public double FreshShare(int stage) => Budget == ReplayBudget.NewTokens && (stage > 0 || From == ReplayFrom.Seen) ? 1 - Rate : 1;
}

/// <summary>Mixes samples that were trained on before into every batch (Abbes et al. 2025, arXiv 2508.01908). The text stays in the token shards on disk; the buffer holds which samples, so its cost in memory is nothing or 16 bytes a kept sample.</summary>
/// <remarks>Only committed samples are kept, never held-out ones. Every draw is keyed by (seed, stage, its step, row): neither resume nor the number of processes changes it. Name it for the run, or for one stage: it sees what every stage trains on.</remarks>
[Component("replay")]
public sealed class Replay : Practice
{
    // Keeps these draws apart from those of other practices.
    private const ulong Draws = 1UL << 40;
    private readonly ReplayOptions options;
    private readonly IReplayBuffer buffer;

    /// <summary>The buffer starts empty.</summary>
    public Replay(ReplayOptions options, PracticeSetup setup)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(setup);
        this.options = options;
        buffer = options.Keep == ReplayKeep.All ? new SeenPositions(options.Balanced) : new Reservoir(checked((int)options.Capacity.Value), options.Keep == ReplayKeep.PerSource ? setup.Sources : 1, setup.Seed);
    }

    /// <inheritdoc/>
    public override IReadOnlyList<StateSlot> Slots => buffer.Slots;

    /// <inheritdoc/>
    public override JsonObject? Save() => buffer.Save();

    /// <inheritdoc/>
    public override void Load(JsonObject state) => buffer.Load(state);

    /// <inheritdoc/>
    public override int FreshRows(PracticeContext context, int rows) => rows - Replayed(context, rows);

    /// <inheritdoc/>
    public override TokenBatch BeforeBatch(PracticeContext context, TokenBatch batch)
    {
        ArgumentNullException.ThrowIfNull(context);
        var count = Replayed(context, (int)(context.TokensPerStep / batch.Time));
        if (count == 0) return batch;
        var draws = Enumerable.Range(0, count).Select(row => Philox.Uniform(context.Seed, RandomPurpose.Practice, (ulong)context.Stage.Index << 40 | (ulong)context.Stage.Step, Draws | (uint)row)).ToList();
        return BatchRows.Join(batch, context.Services.ReadSamples(buffer.Draw(Limit(context), draws, context.Services)));
    }

    /// <inheritdoc/>
    public override void Committed(PracticeContext context, long position, IReadOnlyList<long> samples)
    {
        ArgumentNullException.ThrowIfNull(context);
        buffer.Add(context.Stage.Index, position, samples);
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        buffer.Dispose();
        base.Dispose();
    }

    // First stage that is not replayed.
    private int Limit(PracticeContext context) => options.From == ReplayFrom.Earlier ? context.Stage.Index : int.MaxValue;

    // Rounded so that over s steps floor(s·rate·rows) rows were replayed.
    private int Replayed(PracticeContext context, int rows)
    {
        if (!buffer.HasAny(Limit(context))) return 0;
        var share = options.Rate * rows;
        return (int)(Math.Floor((context.Stage.Step + 1) * share + 1e-9) - Math.Floor(context.Stage.Step * share + 1e-9));
    }
}

/// <summary>Which samples may be replayed. All it remembers is in slots and saved state.</summary>
internal interface IReplayBuffer : IDisposable
{
    IReadOnlyList<StateSlot> Slots { get; }

    JsonObject Save();

    void Load(JsonObject state);

    /// <summary>Takes samples that were trained on.</summary>
    /// <param name="stage">Their stage.</param>
    /// <param name="position">Position of the first in the stage's stream; the others follow.</param>
    /// <param name="ids">Their identities.</param>
    void Add(int stage, long position, IReadOnlyList<long> ids);

    /// <summary>Whether there is a sample of a stage before <paramref name="limit"/>.</summary>
    bool HasAny(int limit);

    /// <summary>One sample of the stages before <paramref name="limit"/> for each uniform number in [0, 1).</summary>
    IReadOnlyList<long> Draw(int limit, IReadOnlyList<double> draws, IPracticeServices services);
}
