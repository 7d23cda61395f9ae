using Perennial.Core;
using Perennial.Models;
using Perennial.Resilience.Layouts;
using Perennial.Resilience.Partition;
using Perennial.Tensors;
using SlotRole = Perennial.Resilience.Layouts.SlotRole;
using UniversalSlot = Perennial.Resilience.Layouts.StateSlot;

namespace Perennial.Training.Parallel;

/// <summary>
/// Where everything of a decoder's training state is under a parallel shape. One description serves all: what each process computes, what its
/// optimizer moves, what it writes into a checkpoint and what it reads from one.
/// </summary>
public sealed class DecoderPlacement
{
    /// <summary>The slot of the weights.</summary>
    public const string Weights = "weight";

    private readonly IReadOnlyList<RuledTensor> ruled;
    private readonly RuleTable rules;
    private readonly LogicalTensor[] tensors;
    private readonly LayoutOptions options;
    private readonly Layout whole, pieces;

    /// <summary>Places a decoder.</summary>
    /// <param name="config">The model.</param>
    /// <param name="shape">The shape.</param>
    /// <param name="atTensors">Whether ZeRO must cut between tensors only (optimizers that need whole matrices).</param>
    /// <param name="cut">Which layers each stage has; null for equally many, the first stages one more.</param>
    /// <exception cref="PerennialException">Exit 2: the model cannot be cut so; the message says what is in the way.</exception>
    public DecoderPlacement(DecoderConfig config, ParallelShape shape, bool atTensors = false, StagePartition? cut = null)
    {
        ArgumentNullException.ThrowIfNull(config);
        ArgumentNullException.ThrowIfNull(shape);
        (Config, Shape) = (config, shape.Checked());
        if (shape.Pipeline > config.Layers) throw PerennialException.Usage($"parallel: {shape.Pipeline} stages for {config.Layers} layers; every stage needs one");
        if (shape is { Zero: 3, Pipeline: > 1 } && config.TiedHead) throw PerennialException.Usage("parallel: zero: 3 cannot share one embedding between the first and the last stage; use tied-head: false, zero: 1 or pipeline: 1");
        Cut = cut ?? StagePartition.Even(config.Layers, shape.Pipeline);
        if (Cut.Layers != config.Layers || Cut.Stages != shape.Pipeline || Cut.Counts.Any(count => count < 1)) throw PerennialException.Usage($"parallel: layers {Cut} are no cut of {config.Layers} layers into {shape.Pipeline} stages");
        Global = DecoderLayout.Of(config);
        options = new LayoutOptions(LayersPerStage: Cut.Counts, Pad: false, AtTensors: atTensors);
        var model = new DecoderDimensions(config.Heads, config.KeyValueHeads, config.HeadWidth, config.Intermediate, config.TiedHead, IntermediateUnit: config.Intermediate % 8 == 0 ? 8 : 1);
        rules = config.Family switch
        {
            ModelFamily.Gpt2 => DecoderRules.Gpt2(model),
            ModelFamily.Qwen2 => DecoderRules.Qwen2(model),
            _ => DecoderRules.Llama(model),
        };
        tensors = [.. Global.Entries.Select(entry => new LogicalTensor(entry.Name, entry.Shape, sizeof(float)))];
        ruled = rules.Apply(tensors);
        whole = LayoutBuilder.Build(ruled, shape, cut: false, options);
        pieces = LayoutBuilder.Build(ruled, shape, cut: true, options);
    }

    /// <summary>The model.</summary>
    public DecoderConfig Config { get; }

    /// <summary>The shape.</summary>
    public ParallelShape Shape { get; }

    /// <summary>Which layers each stage has.</summary>
    public StagePartition Cut { get; }

    /// <summary>The whole model's flat layout.</summary>
    public FlatLayout Global { get; }

    /// <summary>Whether first and last stage share one embedding.</summary>
    public bool IsTiedOverStages => Config.TiedHead && Shape.Pipeline > 1;

    /// <summary>Neighbouring tensor ranks that share key and value heads; 1 for none.</summary>
    public int KeySharers => Math.Max(1, Shape.Tensor / Config.KeyValueHeads);

    /// <summary>What a rank computes with, before any cut over data ranks: a buffer in which its tensors lie one after another.</summary>
    public Layout Whole => whole;

    /// <summary>The layout of the weights as ranks keep them: <see cref="Whole"/>, or under ZeRO 3 cut over the data ranks.</summary>
    public Layout Kept => Shape.Zero == 3 ? pieces : whole;

    /// <summary>The layout of the weights that each rank's optimizer moves: all that it computes with, or under ZeRO its piece.</summary>
    public Layout Trained => Shape.Zero > 0 ? pieces : whole;

    /// <summary>The layout of the whole state.</summary>
    /// <param name="slots">Slots beside the weights; optimizer slots are cut over data ranks by ZeRO, the others follow the weights.</param>
    /// <exception cref="PerennialException">Exit 2: two slots have one name.</exception>
    public StateLayout State(IEnumerable<(string Name, bool IsOptimizer)> slots) =>
        StateLayout.Build(tensors, rules, Shape, [new(Weights, SlotRole.Weight), .. slots.Select(slot => new UniversalSlot(slot.Name, slot.IsOptimizer ? SlotRole.Optimizer : SlotRole.Weight))], options);

    /// <summary>Elements of each data rank's piece of a (stage, tensor part)'s buffer under ZeRO, in order; they make up the buffer.</summary>
    /// <param name="rank">A rank of that stage and part.</param>
    public IReadOnlyList<long> Pieces(int rank)
    {
        var place = Shape.CoordinatesOf(rank);
        return [.. Enumerable.Range(0, Shape.Data).Select(data => pieces.Ranks[Shape.RankOf(place with { Data = data })].Bytes / sizeof(float))];
    }

    /// <summary>The part of the model that a rank computes.</summary>
    /// <param name="rank">The rank.</param>
    /// <param name="peers">The processes with the other parts of its layers.</param>
    /// <param name="window">Where the weights are under ZeRO 3.</param>
    public DecoderShard Shard(int rank, ITensorPeers peers, IParameterWindow? window = null)
    {
        var (_, tensor, stage) = Shape.CoordinatesOf(rank);
        var first = Cut.First(stage);
        var (names, rowBytes) = (new DecoderNames(Config), Config.Width * (long)sizeof(float));
        var isGpt2 = Config.Family == ModelFamily.Gpt2;
        // Queries, keys and inner columns by what the layout gives this rank: nothing is computed twice in two ways.
        var queries = Held(rank, names.Weight(first, Projection.AttentionOut)) / rowBytes;
        var keys = isGpt2 ? queries : Held(rank, names.Weight(first, Projection.Key)) / rowBytes;
        var inner = Held(rank, names.Weight(first, Projection.Down)) / rowBytes;
        var padded = (Config.Vocabulary + Shape.Tensor - 1) / Shape.Tensor;
        var shard = new DecoderShard
        {
            Config = Config, FirstLayer = first, EndLayer = Cut.Ends[stage], HoldsEmbedding = stage == 0, HoldsHead = stage == Shape.Pipeline - 1,
            Heads = (int)(queries / Config.HeadWidth), KeyValueHeads = (int)(keys / Config.HeadWidth), Intermediate = (int)inner,
            FirstRow = Math.Min(Config.Vocabulary, padded * tensor), Rows = Math.Clamp(Config.Vocabulary - padded * tensor, 0, padded), PaddedRows = padded, Peers = peers, Window = window,
        };
        Prove(rank, DecoderLayout.Of(shard));
        return shard;
    }

    /// <summary>
    /// The stretches of a rank's buffer whose gradients count in the global norm here, so that over one data index every element of the
    /// model counts once: copies on other tensor ranks and a tied embedding's second home are left out.
    /// </summary>
    public IReadOnlyList<Range64> Counted(int rank, FlatLayout local)
    {
        ArgumentNullException.ThrowIfNull(local);
        var (_, tensor, stage) = Shape.CoordinatesOf(rank);
        var counted = new List<Range64>();
        foreach (var entry in local.Entries)
        {
            var rule = ruled[whole.IndexOf(entry.Name)!.Value].Rule;
            var isCopy = (rule.Shard is Replicate && tensor > 0) || (IsShared(entry.Name) && tensor % KeySharers > 0) || (rule.Stage == StageRule.Tied && stage > 0);
            if (isCopy) continue;
            if (counted.Count > 0 && counted[^1].End == entry.Offset) counted[^1] = counted[^1] with { End = entry.Offset + entry.Length };
            else counted.Add(new(entry.Offset, entry.Offset + entry.Length));
        }
        return counted;
    }

    /// <summary>Stretches of a rank's buffer that hold key and value heads which neighbours hold too.</summary>
    public IReadOnlyList<Range64> Shared(FlatLayout local)
    {
        ArgumentNullException.ThrowIfNull(local);
        return [.. local.Entries.Where(entry => IsShared(entry.Name)).Select(entry => new Range64(entry.Offset, entry.Offset + entry.Length))];
    }

    /// <summary>Fills a rank's buffer of weights, tensor by tensor, so that the whole model never exists.</summary>
    /// <param name="rank">The rank.</param>
    /// <param name="layout">The buffer's layout.</param>
    /// <param name="buffer">The buffer, zeros before.</param>
    /// <param name="values">All values of a tensor by its number in <see cref="Global"/>; asked only for tensors that the rank has a part of.</param>
    public static unsafe void Fill(int rank, Layout layout, nint buffer, Func<int, ReadOnlyMemory<float>> values)
    {
        ArgumentNullException.ThrowIfNull(layout);
        ArgumentNullException.ThrowIfNull(values);
        foreach (var group in layout.Ranks[rank].Runs.GroupBy(run => run.Tensor))
        {
            var source = System.Runtime.InteropServices.MemoryMarshal.AsBytes(values(group.Key).Span);
            foreach (var run in group)
                for (long row = 0; row < run.Count; row++)
                    source.Slice((int)(run.Logical + row * run.LogicalStride), (int)run.Length).CopyTo(new Span<byte>((byte*)buffer + run.Local + row * run.LocalStride, (int)run.Length));
        }
    }

    private bool IsShared(string name) => KeySharers > 1 && (name.Contains(".k_proj.", StringComparison.Ordinal) || name.Contains(".v_proj.", StringComparison.Ordinal));

    private long Held(int rank, string tensor)
    {
        var index = whole.IndexOf(tensor)!.Value;
        return whole.Ranks[rank].Runs.Where(run => run.Tensor == index).Sum(run => run.Bytes);
    }

    /// <summary>The model's own layout of a part and the state's must be one.</summary>
    private void Prove(int rank, FlatLayout local)
    {
        var runs = whole.Ranks[rank].Runs;
        foreach (var entry in local.Entries)
        {
            var index = whole.IndexOf(entry.Name)!.Value;
            var mine = runs.Where(run => run.Tensor == index).ToList();
            if (mine.Count == 0 || mine.Min(run => run.Local) != entry.Offset * sizeof(float) || mine.Max(run => run.LocalEnd) > (entry.Offset + entry.Length) * sizeof(float))
                throw new InvalidOperationException($"rank {rank}: the model and the layout disagree about '{entry.Name}'");
        }
        if (local.Length * sizeof(float) != whole.Ranks[rank].Bytes) throw new InvalidOperationException($"rank {rank}: the model has {local.Length * sizeof(float)} bytes, the layout {whole.Ranks[rank].Bytes}");
    }
}

/// <summary>A stretch of a flat buffer.</summary>
/// <param name="Start">First element.</param>
/// <param name="End">One past the last.</param>
public readonly record struct Range64(long Start, long End)
{
    /// <summary>Elements.</summary>
    public long Length => Math.Max(0, End - Start);

    /// <summary>What two stretches have in common; empty where they do not meet.</summary>
    public Range64 Common(Range64 other) => new(Math.Max(Start, other.Start), Math.Min(End, other.End));
}
