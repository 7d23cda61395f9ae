using System.Runtime.Intrinsics;
using Perennial.Tensors;

namespace Perennial.Models;

/// <summary>
/// What happens to queries, keys and values between their product and attention, in place: the bias, and for queries and
/// keys the turn by their position, (a, b) → (a·cos − b·sin, b·cos + a·sin) over the two halves of a head.
/// </summary>
/// <typeparam name="T">Storage of the buffer.</typeparam>
internal static unsafe class Rotary<T>
    where T : struct, IStorage
{
    /// <summary>Adds the bias (may be null) and turns; without tables (null) only adds and rounds.</summary>
    /// <param name="shape">Sizes.</param>
    /// <param name="qkv">The buffer, <c>[batch, time, stride]</c>.</param>
    /// <param name="bias">Bias <c>[stride]</c>.</param>
    /// <param name="cosines">Cosines <c>[context, headWidth / 2]</c>.</param>
    /// <param name="sines">Sines; times −1 by <paramref name="backward"/>.</param>
    /// <param name="backward">Turn the other way: the gradient's direction.</param>
    public static void Apply(AttentionShape shape, void* qkv, float* bias, float* cosines, float* sines, bool backward)
    {
        var half = shape.HeadWidth / 2;
        var turned = cosines is null ? 0 : shape.Heads + shape.KeyHeads;
        if (turned == 0 && bias is null && !T.Rounds) return;
        ThreadTeam.ForRows((long)shape.Batch * shape.Time, 32, (first, end) =>
        {
            var sign = Vector256.Create(backward ? -1f : 1f);
            for (var token = first; token < end; token++)
            {
                var (start, position) = (token * shape.Stride, token % shape.Time * half);
                for (var head = 0; head < turned; head++)
                    for (var i = 0; i < half; i += 8)
                    {
                        var at = head * shape.HeadWidth + i;
                        var (a, b) = (T.Load(qkv, start + at), T.Load(qkv, start + at + half));
                        if (bias is not null) (a, b) = (a + Vector256.Load(bias + at), b + Vector256.Load(bias + at + half));
                        var cosine = Vector256.Load(cosines + position + i);
                        var sine = Vector256.Load(sines + position + i) * sign;
                        T.Store(qkv, start + at, a * cosine - b * sine);
                        T.Store(qkv, start + at + half, b * cosine + a * sine);
                    }
                if (bias is null && !T.Rounds) continue;
                for (var at = turned * shape.HeadWidth; at < shape.Stride; at += 8)
                {
                    var value = T.Load(qkv, start + at);
                    T.Store(qkv, start + at, bias is null ? value : value + Vector256.Load(bias + at));
                }
            }
        });
    }
}
