using Perennial.Core;
using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Models;

/// <summary>
/// Where the parts of a decoder's matrices start. Plain parameters and frozen parts start with the same bits as in a plain decoder of the
/// same seed; A, and B where it does not start at zero, uniform in ±1/√(fan-in) (Kaiming with a = √5), as sparse values that do not start dense.
/// </summary>
public static class WeightStart
{
    internal const int FactorA = 1, FactorB = 2, SparseDraw = 3, SupportDraw = 4, ProjectionDraw = 5;

    /// <summary>The generator's item of a matrix's part. Plain draws have part 0.</summary>
    internal static ulong Item(int index, int part) => (uint)index | (ulong)(uint)part << 32;

    /// <summary>Fresh weights.</summary>
    /// <param name="map">The map; its frozen parts are filled too.</param>
    /// <param name="parameters">Laid out as the map's parameters.</param>
    /// <param name="seed">The key of every draw.</param>
    public static void Fill(WeightMap map, FlatParameters parameters, ulong seed)
    {
        ArgumentNullException.ThrowIfNull(map);
        ArgumentNullException.ThrowIfNull(parameters);
        if (map.Form.EmbeddingProjection)
        {
            using var scope = NewDisposeScope();
            Orthogonal(parameters.Value(WeightMap.EmbeddingProjection), seed, Item(0, ProjectionDraw));
            Orthogonal(parameters.Value(WeightMap.HeadProjection), seed, Item(1, ProjectionDraw));
        }
        for (var index = 0; index < map.PlainLayout.Entries.Count; index++)
        {
            var entry = map.PlainLayout.Entries[index];
            var matrix = map.Find(entry.Name);
            var target = matrix is null ? Span(parameters.Values, map.Layout[entry.Name]) : matrix.Frozen is null ? default : Span(map.Frozen!, matrix.Frozen);
            if (target.Length > 0) DecoderInitializer.Fill(entry, index, target, map.Config, seed);
            if (matrix is null) continue;
            Factors(map, matrix, parameters, seed);
            if (matrix.Values is not { } values) continue;
            if (map.Form.Sparse!.StartsDense)
            {
                // Memory of libtorch's goes back to the system; a large array of .NET's would stay with the process.
                using var drawn = zeros(entry.Length);
                var dense = TensorMemory.Span<float>(drawn);
                DecoderInitializer.Fill(entry, index, dense, map.Config, seed);
                Gather(matrix, dense, Span(parameters.Values, values));
            }
            else
                Uniform(Span(parameters.Values, values), 1 / Math.Sqrt(matrix.Inputs), seed, RandomPurpose.Initialization, Item(index, SparseDraw), 0);
        }
    }

    /// <summary>An orthogonal matrix: the Q of a normal draw, its signs fixed so that it is uniform (Mezzadri 2007).</summary>
    private static void Orthogonal(Tensor target, ulong seed, ulong item)
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var draw = zeros(target.shape);
        Philox.FillNormal(TensorMemory.Span<float>(draw), seed, RandomPurpose.Initialization, item);
        var (q, r) = linalg.qr(draw.to_type(ScalarType.Float64));
        target.copy_(q * r.diagonal().sign());
    }

    /// <summary>Takes plain weights over: exact where the form can hold them, refused where it cannot.</summary>
    /// <param name="map">The map; its frozen parts are filled too.</param>
    /// <param name="parameters">Laid out as the map's parameters.</param>
    /// <param name="plain">Weights laid out as the plain layout.</param>
    /// <param name="seed">The key of fresh factors.</param>
    /// <param name="from">Where they come from, for errors.</param>
    /// <exception cref="PerennialException">Exit 2: the form cannot hold these weights.</exception>
    public static void Take(WeightMap map, FlatParameters parameters, Tensor plain, ulong seed, string from)
    {
        ArgumentNullException.ThrowIfNull(map);
        ArgumentNullException.ThrowIfNull(parameters);
        var form = map.Form;
        if (!form.Frozen && form.LowRank is not null)
            throw PerennialException.Usage($"parameterization: low-rank matrices cannot hold the weights of {from}; take lora or relora, which keep them as a dense part");
        if (form.ScalarNorms || form.EmbeddingProjection)
            throw PerennialException.Usage($"parameterization: outlier-safe shapes cannot take the weights of {from} over (its norms have a number a channel); train it from fresh weights, or take parameterization: dense");
        foreach (var entry in map.PlainLayout.Entries)
        {
            var source = Span(plain, entry);
            if (map.Find(entry.Name) is not { } matrix)
            {
                source.CopyTo(Span(parameters.Values, map.Layout[entry.Name]));
                continue;
            }
            if (matrix.Frozen is { } frozen) source.CopyTo(Span(map.Frozen!, frozen));
            Factors(map, matrix, parameters, seed);
            if (matrix.Values is not { } values) continue;
            if (form.Frozen)
            {
                Span(parameters.Values, values).Clear();
                continue;
            }
            Gather(matrix, source, Span(parameters.Values, values));
            var lost = source.Length - source.Count(0f) - (values.Length - Span(parameters.Values, values).Count(0f));
            if (lost != 0) throw PerennialException.Usage($"parameterization: '{entry.Name}' of {from} has {lost} values where the sparse mask has none; take the support-seed that it was trained with, or parameterization: dense");
        }
    }

    /// <summary>A drawn anew and B zero, as after a merge; the draws are those of a step.</summary>
    internal static void Restart(WeightMatrix matrix, FlatParameters parameters, ulong seed, long step)
    {
        Uniform(Span(parameters.Values, matrix.A!), 1 / Math.Sqrt(matrix.Inputs), seed, RandomPurpose.Practice, (ulong)step, (ulong)matrix.A!.Offset);
        Span(parameters.Values, matrix.B!).Clear();
    }

    private static void Factors(WeightMap map, WeightMatrix matrix, FlatParameters parameters, ulong seed)
    {
        if (matrix.A is null) return;
        Uniform(Span(parameters.Values, matrix.A), 1 / Math.Sqrt(matrix.Inputs), seed, RandomPurpose.Initialization, Item(matrix.Index, FactorA), 0);
        var b = Span(parameters.Values, matrix.B!);
        if (map.Form.LowRank!.StartsAtZero) b.Clear();
        else Uniform(b, 1 / Math.Sqrt(matrix.A.Shape[0]), seed, RandomPurpose.Initialization, Item(matrix.Index, FactorB), 0);
    }

    private static void Gather(WeightMatrix matrix, ReadOnlySpan<float> dense, Span<float> values)
    {
        var positions = matrix.Support!.Positions;
        for (var i = 0; i < positions.Length; i++) values[i] = dense[positions[i]];
    }

    private static void Uniform(Span<float> values, double bound, ulong seed, RandomPurpose purpose, ulong item, ulong first)
    {
        for (var i = 0; i < values.Length; i++) values[i] = (float)((2 * Philox.Uniform(seed, purpose, item, first + (ulong)i) - 1) * bound);
    }

    private static unsafe Span<float> Span(Tensor buffer, FlatEntry entry) => new((float*)TensorMemory.Address<float>(buffer) + entry.Offset, checked((int)entry.Length));
}
