using Perennial.Tensors;

namespace Perennial.Models;

/// <summary>
/// The flat layout of a decoder: first everything that decays (matrices), then norms and biases, so that an optimizer
/// makes two passes and no more. q, k, v and gate, up (and the q, k, v biases) are neighbours, so that one wider view is
/// the fused weight.
/// </summary>
public static class DecoderLayout
{
    /// <summary>Lays out the tensors of a configuration.</summary>
    public static FlatLayout Of(DecoderConfig config)
    {
        return Of(DecoderShard.Whole(config));
    }

    /// <summary>Lays out the tensors of a part of a model: those of its stage, in its share of their shapes, in the same order.</summary>
    public static FlatLayout Of(DecoderShard shard)
    {
        ArgumentNullException.ThrowIfNull(shard);
        return FlatLayout.Of(Matrices(shard).Select(tensor => Entry(shard, tensor.Name, tensor.Shape))
            .Concat(Vectors(shard).Select(tensor => new FlatEntry(tensor.Name, 0, tensor.Shape, false))));
    }

    /// <summary>A matrix or table; GPT-2's fused q, k, v says that it is three matrices.</summary>
    private static FlatEntry Entry(DecoderShard shard, string name, long[] shape)
    {
        var (config, names) = (shard.Local, new DecoderNames(shard.Local));
        long queries = (long)config.Heads * config.HeadWidth, keys = (long)config.KeyValueHeads * config.HeadWidth;
        var isTable = name == names.Embedding || name == names.Head || (config.Family == ModelFamily.Gpt2 && name == names.Positions);
        return new FlatEntry(name, 0, shape, true)
        {
            Kind = isTable ? EntryKind.Table : EntryKind.Matrix,
            Columns = config.Family == ModelFamily.Gpt2 && name.EndsWith(".c_attn.weight", StringComparison.Ordinal) ? [queries, keys, keys] : [],
            IsPart = shard.Peers.Size > 1,
        };
    }

    /// <summary>
    /// Gradients that take turns: the tables in one stretch (the head's is used up before the embedding's is written), what one product of a
    /// block gives (q, k, v; gate, up; …) in a second, vectors, which are small, each in a place of its own. Elements: the largest table + the
    /// largest group of matrices + all vectors.
    /// </summary>
    public static GradientSharing SharedGradients(DecoderConfig config)
    {
        var layout = Of(config);
        var offsets = new Dictionary<string, long>(StringComparer.Ordinal);
        var tables = layout.Entries.Where(entry => entry.Kind == EntryKind.Table).Max(entry => entry.Length);
        var (place, group, largest) = (0L, "", 0L);
        foreach (var entry in layout.Entries.Where(entry => entry.Kind == EntryKind.Matrix))
        {
            // Neighbours that one product writes follow each other; every other matrix begins at the start again.
            var mine = Group(entry.Name);
            if (mine != group) place = 0;
            group = mine;
            offsets.Add(entry.Name, tables + place);
            place += entry.Length;
            largest = Math.Max(largest, place);
        }
        var next = tables + largest;
        foreach (var entry in layout.Entries.Where(entry => entry.Kind != EntryKind.Matrix))
        {
            offsets.Add(entry.Name, entry.Kind == EntryKind.Table ? 0 : next);
            if (entry.Kind == EntryKind.Vector) next += entry.Length;
        }
        return new GradientSharing(offsets, next);

        static string Group(string name) => name.Replace("k_proj", "q_proj", StringComparison.Ordinal).Replace("v_proj", "q_proj", StringComparison.Ordinal).Replace("up_proj", "gate_proj", StringComparison.Ordinal);
    }

    private static IEnumerable<(string Name, long[] Shape)> Matrices(DecoderShard shard)
    {
        var config = shard.Local;
        var names = new DecoderNames(config);
        long width = config.Width, inner = config.Intermediate;
        long queries = (long)config.Heads * config.HeadWidth, keys = (long)config.KeyValueHeads * config.HeadWidth;
        if (shard.HoldsEmbedding || (config.TiedHead && shard.HoldsHead)) yield return (names.Embedding, [shard.PaddedRows, width]);
        if (config.Family == ModelFamily.Gpt2 && shard.HoldsEmbedding) yield return (names.Positions, [config.Context, width]);
        for (var layer = shard.FirstLayer; layer < shard.EndLayer; layer++)
        {
            if (config.Family == ModelFamily.Gpt2)
            {
                yield return (names.Weight(layer, Projection.QueryKeyValue), [width, queries + 2 * keys]);
                yield return (names.Weight(layer, Projection.AttentionOut), [queries, width]);
                yield return (names.Weight(layer, Projection.Up), [width, inner]);
                yield return (names.Weight(layer, Projection.Down), [inner, width]);
                continue;
            }
            yield return (names.Weight(layer, Projection.Query), [queries, width]);
            yield return (names.Weight(layer, Projection.Key), [keys, width]);
            yield return (names.Weight(layer, Projection.Value), [keys, width]);
            yield return (names.Weight(layer, Projection.AttentionOut), [width, queries]);
            yield return (names.Weight(layer, Projection.Gate), [inner, width]);
            yield return (names.Weight(layer, Projection.Up), [inner, width]);
            yield return (names.Weight(layer, Projection.Down), [width, inner]);
        }
        if (!config.TiedHead && shard.HoldsHead) yield return (names.Head, [shard.PaddedRows, width]);
    }

    private static IEnumerable<(string Name, long[] Shape)> Vectors(DecoderShard shard)
    {
        var config = shard.Local;
        var names = new DecoderNames(config);
        long width = config.Width, inner = config.Intermediate;
        long queries = (long)config.Heads * config.HeadWidth, keys = (long)config.KeyValueHeads * config.HeadWidth;
        var layerNorm = config.Family == ModelFamily.Gpt2;
        for (var layer = shard.FirstLayer; layer < shard.EndLayer; layer++)
        {
            yield return (names.AttentionNorm(layer), [width]);
            if (layerNorm) yield return (DecoderNames.BiasOf(names.AttentionNorm(layer)), [width]);
            yield return (names.FeedForwardNorm(layer), [width]);
            if (layerNorm) yield return (DecoderNames.BiasOf(names.FeedForwardNorm(layer)), [width]);
            switch (config.Family)
            {
                case ModelFamily.Qwen2:
                    yield return (names.Bias(layer, Projection.Query), [queries]);
                    yield return (names.Bias(layer, Projection.Key), [keys]);
                    yield return (names.Bias(layer, Projection.Value), [keys]);
                    break;
                case ModelFamily.Gpt2:
                    yield return (names.Bias(layer, Projection.QueryKeyValue), [queries + 2 * keys]);
                    yield return (names.Bias(layer, Projection.AttentionOut), [width]);
                    yield return (names.Bias(layer, Projection.Up), [inner]);
                    yield return (names.Bias(layer, Projection.Down), [width]);
                    break;
            }
        }
        if (!shard.HoldsHead) yield break;
        yield return (names.FinalNorm, [width]);
        if (layerNorm) yield return (names.FinalNormBias, [width]);
    }
}
