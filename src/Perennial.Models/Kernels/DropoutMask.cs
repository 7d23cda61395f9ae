using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Perennial.Core;
using Perennial.Tensors;

namespace Perennial.Models;

/// <summary>What the dropout masks of one micro-batch are drawn by: nothing else enters, so whoever computes a sample sees its masks.</summary>
/// <param name="Seed">The run's seed.</param>
/// <param name="Step">The step under way.</param>
/// <param name="Samples">The sample id of every row; where a call has more rows, they begin again as further copies.</param>
public sealed record DropoutKey(ulong Seed, long Step, IReadOnlyList<long> Samples);

/// <summary>
/// Masks as a pure function of (seed, step, sample, site, position, channel) through Philox: nothing is stored, backward draws them again.
/// Dropout stands where Vaswani et al. 2017 (section 5.4) put it: on each sub-layer's output before it is added, and on the embeddings.
/// </summary>
internal sealed class DropoutMask
{
    private const int Bits = 16;
    private readonly ushort threshold;
    private readonly float scale;
    private readonly uint low, high;
    private readonly IReadOnlyList<long> samples;
    private readonly int time, width;

    /// <param name="rate">Share dropped, below 1; met to within 2⁻¹⁷, and what stays is scaled by what is truly dropped.</param>
    /// <param name="key">What it is drawn by.</param>
    /// <param name="time">Tokens of a row.</param>
    /// <param name="width">Channels; a multiple of 8.</param>
    public DropoutMask(double rate, DropoutKey key, int time, int width)
    {
        threshold = (ushort)Math.Clamp(Math.Round(rate * (1 << Bits)), 0, (1 << Bits) - 1);
        scale = (float)(1 / (1 - threshold / (double)(1 << Bits)));
        var step = Philox.Bits(key.Seed, RandomPurpose.Dropout, (ulong)key.Step, 0);
        (low, high, samples) = ((uint)step, (uint)(step >> 32), key.Samples);
        (this.time, this.width) = (time, width);
    }

    /// <summary>The site of the embeddings.</summary>
    public const int Embedding = 0;

    /// <summary>The site after a layer's attention.</summary>
    public static int Attention(int layer) => 1 + 2 * layer;

    /// <summary>The site after a layer's feed-forward part.</summary>
    public static int FeedForward(int layer) => 2 + 2 * layer;

    /// <summary>Factors (0 or 1/(1 − rate)) of eight channels, from <paramref name="channel"/> on, of one token.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Vector256<float> Factors(int site, long token, int channel)
    {
        var (row, position) = Math.DivRem((int)token, time);
        var (copy, index) = Math.DivRem(row, samples.Count);
        var sample = (ulong)samples[index];
        var (x0, x1, x2, x3) = Philox.Block((uint)((position * (long)width + channel) >> 3), (uint)sample, (uint)(sample >> 32) << 16 | (uint)site,
            (uint)RandomPurpose.Dropout | (uint)copy << 8, low, high);
        var (first, second) = Vector128.Widen(Vector128.Create(x0, x1, x2, x3).AsUInt16());
        var keeps = Vector256.GreaterThanOrEqual(Vector256.Create(first, second).AsInt32(), Vector256.Create((int)threshold));
        return Vector256.BitwiseAnd(keeps.AsSingle(), Vector256.Create(scale));
    }

    /// <summary>All factors of a site, <c>[tokens, width]</c>, for computations of ordinary operators.</summary>
    public float[] Factors(int site, long tokens)
    {
        var factors = new float[tokens * width];
        for (var token = 0L; token < tokens; token++)
            for (var channel = 0; channel < width; channel += 8)
            {
                var eight = Factors(site, token, channel);
                for (var i = 0; i < Math.Min(8, width - channel); i++) factors[token * width + channel + i] = eight[i];
            }
        return factors;
    }

    /// <summary>y ← m ⊙ (y + b), in place.</summary>
    /// <typeparam name="T">Storage of y.</typeparam>
    public unsafe void Forward<T>(int site, long tokens, void* values, float* bias)
        where T : struct, IStorage => ThreadTeam.ForRows(tokens, 32, (first, end) =>
        {
            for (var token = first; token < end; token++)
                for (var i = 0; i < width; i += 8)
                {
                    var value = T.Load(values, token * width + i);
                    if (bias is not null) value += Vector256.Load(bias + i);
                    T.Store(values, token * width + i, value * Factors(site, token, i));
                }
        });

    /// <summary>masked ← m ⊙ dx: the gradient before the site from the one behind it; the two may be the same memory.</summary>
    /// <typeparam name="T">Storage of the result.</typeparam>
    public unsafe void Backward<T>(int site, long tokens, float* dx, void* masked)
        where T : struct, IStorage => ThreadTeam.ForRows(tokens, 32, (first, end) =>
        {
            for (var token = first; token < end; token++)
                for (var i = 0; i < width; i += 8)
                    T.Store(masked, token * width + i, Vector256.Load(dx + token * width + i) * Factors(site, token, i));
        });
}
