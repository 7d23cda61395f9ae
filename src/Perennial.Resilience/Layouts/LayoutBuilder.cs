using Perennial.Core;

namespace Perennial.Resilience.Layouts;

/// <summary>How a layout is built.</summary>
/// <param name="Alignment">ZeRO pieces are multiples of so many bytes; the padding this takes is at the end of the group's state.</param>
/// <param name="Interleave">
/// Whether ZeRO cuts each tensor over the data ranks (moving a layer then moves one piece from each rank, paper 23 part 5)
/// rather than the tensors one after another as one stretch.
/// </param>
/// <param name="LayersPerStage">Layers of each stage; null to divide evenly, the first stages getting one more.</param>
/// <param name="Pad">Whether ZeRO pieces are padded to equal size; otherwise they are just cut, and the last ranks may have less or nothing.</param>
/// <param name="AtTensors">Whether ZeRO cuts between tensors only, where an equal cut would come nearest: for state that is not element-wise.</param>
public sealed record LayoutOptions(int Alignment = 64, bool Interleave = false, IReadOnlyList<int>? LayersPerStage = null, bool Pad = true, bool AtTensors = false);

/// <summary>Builds layouts: stage, then tensor shard, then ZeRO cut.</summary>
public static class LayoutBuilder
{
    /// <summary>The layout of one kind of state (weights, or one optimizer slot).</summary>
    /// <param name="tensors">The tensors with their rules; a rank's buffer has them in this order.</param>
    /// <param name="shape">The parallel shape.</param>
    /// <param name="cut">Whether the data ranks cut this state between them (ZeRO) or each hold all of it.</param>
    /// <param name="options">Alignment, interleaving, stages.</param>
    /// <exception cref="PerennialException">Exit 2: the model cannot be cut so; the message names the tensor.</exception>
    public static Layout Build(IReadOnlyList<RuledTensor> tensors, ParallelShape shape, bool cut, LayoutOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(tensors);
        ArgumentNullException.ThrowIfNull(shape);
        options ??= new LayoutOptions();
        shape.Checked();
        var widest = tensors.Select(entry => entry.Tensor.ElementBytes).DefaultIfEmpty(1).Max();
        if (options.Alignment < 1 || options.Alignment % widest != 0) throw PerennialException.Usage($"layout: an alignment of {options.Alignment} bytes is no multiple of elements of {widest} bytes");
        var stages = Stages(tensors, shape, options);
        var buffers = new RankBuffer[shape.Ranks];
        for (var stage = 0; stage < shape.Pipeline; stage++)
            for (var part = 0; part < shape.Tensor; part++)
            {
                var (whole, pieces) = Assemble(tensors, stages, shape, stage, part);
                var shares = cut ? Zero.Cut(whole, pieces, tensors, shape.Data, options) : [.. Enumerable.Repeat(whole, shape.Data)];
                for (var data = 0; data < shape.Data; data++) buffers[shape.RankOf(new(data, part, stage))] = shares[data];
            }
        return Layout.Of(tensors.Select(entry => entry.Tensor), buffers);
    }

    /// <summary>One (stage, tensor part): its tensors one after another without gaps.</summary>
    private static (RankBuffer Whole, List<LocalTensor> Pieces) Assemble(IReadOnlyList<RuledTensor> tensors, int[] stageOfLayer, ParallelShape shape, int stage, int part)
    {
        var runs = new List<LayoutRun>();
        var pieces = new List<LocalTensor>();
        long end = 0;
        for (var index = 0; index < tensors.Count; index++)
        {
            var (tensor, rule, layer) = tensors[index];
            if (!Holds(rule.Stage, stage, shape.Pipeline, stageOfLayer, layer)) continue;
            var replica = rule.Stage is StageRule.Tied or StageRule.Every && stage > 0;
            var (placed, bytes) = rule.Shard.Place(tensor, index, part, shape.Tensor);
            runs.AddRange(placed.Select(run => run with { Local = run.Local + end, Replica = replica }));
            pieces.Add(new(index, end, bytes));
            end += bytes;
        }
        return (new(end, runs), pieces);
    }

    private static bool Holds(StageRule rule, int stage, int stages, int[] stageOfLayer, int layer) => rule switch
    {
        StageRule.First => stage == 0,
        StageRule.Last => stage == stages - 1,
        StageRule.Tied => stage == 0 || stage == stages - 1,
        StageRule.Every => true,
        _ => stageOfLayer[layer] == stage,
    };

    private static int[] Stages(IReadOnlyList<RuledTensor> tensors, ParallelShape shape, LayoutOptions options)
    {
        var layers = tensors.Where(entry => entry.Rule.Stage == StageRule.Layer).Select(entry => entry.Layer + 1).DefaultIfEmpty(0).Max();
        var counts = options.LayersPerStage ?? [.. Enumerable.Range(0, shape.Pipeline).Select(stage => layers / shape.Pipeline + (stage < layers % shape.Pipeline ? 1 : 0))];
        if (counts.Count != shape.Pipeline || counts.Any(count => count < 0) || counts.Sum() != layers)
            throw PerennialException.Usage($"layout: [{string.Join(", ", counts)}] layers a stage do not make up {layers} layers on {shape.Pipeline} stages");
        return [.. counts.SelectMany((count, stage) => Enumerable.Repeat(stage, count))];
    }
}

/// <summary>A tensor's place in the buffer of one (stage, tensor part), padding included.</summary>
internal readonly record struct LocalTensor(int Index, long Start, long Bytes);

/// <summary>The ZeRO cut of one group's buffer over its data ranks.</summary>
internal static class Zero
{
    public static RankBuffer[] Cut(RankBuffer whole, List<LocalTensor> pieces, IReadOnlyList<RuledTensor> tensors, int ranks, LayoutOptions options)
    {
        var parts = new (long Bytes, List<LayoutRun> Runs)[ranks];
        for (var rank = 0; rank < ranks; rank++) parts[rank] = (0, []);
        if (options.AtTensors)
        {
            var total = pieces.Sum(piece => piece.Bytes);
            long[] borders = [0, .. pieces.Select(piece => piece.Start + piece.Bytes)];
            long Border(int rank) => rank == ranks ? total : borders.MinBy(border => Math.Abs(border - (double)total * rank / ranks));
            for (var rank = 0; rank < ranks; rank++) Take(parts, rank, whole.Runs, Border(rank), Border(rank + 1), 1);
            return [.. parts.Select(part => new RankBuffer(part.Bytes, part.Runs))];
        }
        // Stretches between tensors that must stay whole are cut; a whole tensor goes to the rank with the least.
        foreach (var (start, bytes, intact) in Stretches(pieces, tensors, options.Interleave))
        {
            var runs = whole.Runs.Where(run => run.Local >= start && run.Local < start + bytes).ToList();
            if (intact)
            {
                var least = Enumerable.Range(0, ranks).MinBy(rank => parts[rank].Bytes);
                Take(parts, least, runs, start, start + bytes, options.Pad ? options.Alignment : 1);
                continue;
            }
            var share = RoundUp((bytes + ranks - 1) / ranks, options.Alignment);
            for (var rank = 0; rank < ranks; rank++)
            {
                var from = start + share * rank;
                // In one stretch every rank has equally many bytes, padded at the end; interleaved pieces may be short.
                var to = options.Interleave || !options.Pad ? Math.Max(from, Math.Min(start + bytes, from + share)) : from + share;
                Take(parts, rank, runs, from, to, options.Pad ? options.Alignment : 1);
            }
        }
        return [.. parts.Select(part => new RankBuffer(part.Bytes, part.Runs))];
    }

    private static void Take((long Bytes, List<LayoutRun> Runs)[] parts, int rank, IReadOnlyList<LayoutRun> runs, long from, long to, int alignment)
    {
        var (at, list) = parts[rank];
        foreach (var run in runs)
            if (run.Local < to && run.LocalEnd > from)
                list.AddRange(run.Window(from, to).Select(piece => piece with { Local = piece.Local + at }));
        parts[rank].Bytes = RoundUp(at + to - from, alignment);
    }

    private static IEnumerable<(long Start, long Bytes, bool Intact)> Stretches(List<LocalTensor> pieces, IReadOnlyList<RuledTensor> tensors, bool each)
    {
        (long Start, long Bytes)? open = null;
        foreach (var piece in pieces)
        {
            var intact = tensors[piece.Index].Tensor.Whole;
            if (!intact && !each)
            {
                open = open is { } stretch ? (stretch.Start, stretch.Bytes + piece.Bytes) : (piece.Start, piece.Bytes);
                continue;
            }
            if (open is { } done) yield return (done.Start, done.Bytes, false);
            open = null;
            yield return (piece.Start, piece.Bytes, intact);
        }
        if (open is { } last) yield return (last.Start, last.Bytes, false);
    }

    private static long RoundUp(long bytes, long multiple) => (bytes + multiple - 1) / multiple * multiple;
}
