using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Models.Quantization;

/// <summary>Rounding to the nearest integer multiple of a scale, for weights once and for activations as they come.</summary>
public static class RoundToNearest
{
    /// <summary>
    /// Symmetric integers of one group: scale = largest magnitude · shrink / highest integer, q = round(w / scale) clipped, ties to even. A
    /// group of zeros has scale 0.
    /// </summary>
    /// <param name="group">Weights.</param>
    /// <param name="scheme">The scheme.</param>
    /// <param name="search">
    /// Whether the largest magnitude is shrunk to the factor 1, 0.99 … 0.21 with the least Σ|q·scale − w|^2.4 (Park et al. 2025, appendix;
    /// the clipping search of GPTQ's code).
    /// </param>
    /// <param name="codes">The integers.</param>
    /// <returns>The scale.</returns>
    public static float Group(ReadOnlySpan<float> group, QuantizationScheme scheme, bool search, Span<sbyte> codes)
    {
        ArgumentNullException.ThrowIfNull(scheme);
        var largest = 0f;
        foreach (var weight in group) largest = MathF.Max(largest, MathF.Abs(weight));
        var (best, least) = (largest / scheme.Highest, double.PositiveInfinity);
        for (var shrink = 100; search && largest > 0 && shrink > 20; shrink--)
        {
            var scale = largest * shrink / 100 / scheme.Highest;
            var error = 0.0;
            foreach (var weight in group) error += Math.Pow(Math.Abs(Code(weight, scale, scheme) * scale - weight), 2.4);
            if (error < least) (best, least) = (scale, error);
        }
        for (var i = 0; i < group.Length; i++) codes[i] = (sbyte)(best > 0 ? Code(group[i], best, scheme) : 0);
        return best;
    }

    /// <summary>The nearest values that a scheme can hold, in the place of a matrix's own (quantized and made float32 again).</summary>
    /// <param name="matrix">Float32, contiguous, <c>[outputs, inputs]</c>.</param>
    /// <param name="scheme">The scheme.</param>
    /// <param name="search">Whether clipping is searched.</param>
    public static unsafe void Matrix(Tensor matrix, QuantizationScheme scheme, bool search)
    {
        ArgumentNullException.ThrowIfNull(matrix);
        ArgumentNullException.ThrowIfNull(scheme);
        var (rows, columns) = (matrix.shape[0], (int)matrix.shape[1]);
        var start = (float*)TensorMemory.Address<float>(matrix);
        var size = scheme.Group == 0 ? columns : scheme.Group;
        ThreadTeam.ForRows(rows, 4, (first, end) =>
        {
            var codes = new sbyte[size];
            for (var row = first; row < end; row++)
                for (var column = 0; column < columns; column += size)
                {
                    var group = new Span<float>(start + row * columns + column, Math.Min(size, columns - column));
                    var scale = Group(group, scheme, search, codes);
                    for (var i = 0; i < group.Length; i++) group[i] = codes[i] * scale;
                }
        });
    }

    /// <summary>
    /// Activations as their nearest values: asymmetric, one scale and zero point for every stretch of the last dimension, found anew each
    /// time: s = (max − min) / (2^bits − 1) with max ≥ 0 ≥ min, z = round(−min / s), q = clip(round(x / s) + z).
    /// </summary>
    /// <param name="x">Float32, <c>[…, width]</c>.</param>
    /// <param name="bits">2 to 15; 16 leaves x as it is.</param>
    /// <param name="group">Length of a stretch; 0 for the whole last dimension.</param>
    public static Tensor Activations(Tensor x, int bits, long group = 0)
    {
        ArgumentNullException.ThrowIfNull(x);
        if (bits >= 16) return x;
        using var scope = NewDisposeScope();
        var width = x.shape[^1];
        var stretch = group == 0 || width % group != 0 ? width : group;
        var rows = x.reshape(-1, stretch);
        var levels = (1 << bits) - 1;
        var (high, low) = (rows.amax([1], keepdim: true).clamp_min(0), rows.amin([1], keepdim: true).clamp_max(0));
        var scale = ((high - low) / levels).clamp_min(1e-20);
        var zero = (-low / scale).round();
        var rounded = ((rows / scale).round() + zero).clamp(0, levels);
        return ((rounded - zero) * scale).reshape(x.shape).MoveToOuterDisposeScope();
    }

    private static int Code(float weight, float scale, QuantizationScheme scheme) => (int)Math.Clamp(MathF.Round(weight / scale), -scheme.Highest - 1, scheme.Highest);
}
