using System.Buffers;
using System.Runtime.Intrinsics;
using Perennial.Tensors;

namespace Perennial.Models;

/// <summary>
/// Scratch of one head: queries, keys and values gathered from the interleaved buffer into dense float32, keys and values
/// also transposed, and a block of scores. Rented for one unit of work.
/// </summary>
internal sealed unsafe class AttentionHead : IDisposable
{
    private readonly float[] rented;
    private readonly System.Runtime.InteropServices.GCHandle pin;
    private float* next;

    public AttentionHead(AttentionShape shape, bool backward)
    {
        Shape = shape;
        int dense = shape.PaddedTime * shape.HeadWidth, block = AttentionShape.Unit * shape.PaddedTime;
        rented = ArrayPool<float>.Shared.Rent(backward ? 8 * dense + 2 * block + 16 : 4 * dense + block + 16);
        pin = System.Runtime.InteropServices.GCHandle.Alloc(rented, System.Runtime.InteropServices.GCHandleType.Pinned);
        next = (float*)((pin.AddrOfPinnedObject() + 31) & ~31);
        Queries = Take(dense);
        KeysTransposed = Take(dense);
        Values = Take(dense);
        Result = Take(dense);
        Scores = Take(block);
        if (!backward) return;
        Keys = Take(dense);
        ValuesTransposed = Take(dense);
        KeyGradient = Take(dense);
        ValueGradient = Take(dense);
        Slopes = Take(block);
    }

    public AttentionShape Shape { get; }

    /// <summary>Queries times the softmax scale, <c>[time, headWidth]</c>.</summary>
    public float* Queries { get; }

    /// <summary>Keys, <c>[headWidth, paddedTime]</c>.</summary>
    public float* KeysTransposed { get; }

    /// <summary>Values, <c>[time, headWidth]</c>.</summary>
    public float* Values { get; }

    /// <summary>Attention's output, or in backward the output's gradient, <c>[time, headWidth]</c>.</summary>
    public float* Result { get; }

    /// <summary>Scores, then weights, of a block of queries, <c>[48, paddedTime]</c>.</summary>
    public float* Scores { get; }

    /// <summary>Keys, <c>[time, headWidth]</c> (backward).</summary>
    public float* Keys { get; }

    /// <summary>Values, <c>[headWidth, paddedTime]</c> (backward).</summary>
    public float* ValuesTransposed { get; }

    /// <summary>Gradient of keys, <c>[time, headWidth]</c> (backward).</summary>
    public float* KeyGradient { get; }

    /// <summary>Gradient of values, <c>[time, headWidth]</c> (backward).</summary>
    public float* ValueGradient { get; }

    /// <summary>Gradients of a block's weights, then of its scores, <c>[48, paddedTime]</c> (backward).</summary>
    public float* Slopes { get; }

    /// <summary>Gathers one head's rows, times a factor, into <c>[time, headWidth]</c>; padding becomes 0.</summary>
    public void Gather<T>(void* source, long first, long stride, float scale, float* target)
        where T : struct, IStorage
    {
        var width = Shape.HeadWidth;
        var factor = Vector256.Create(scale);
        for (var t = 0; t < Shape.Time; t++)
            for (var i = 0; i < width; i += 8)
                (T.Load(source, first + t * stride + i) * factor).Store(target + t * width + i);
        new Span<float>(target + Shape.Time * width, (Shape.PaddedTime - Shape.Time) * width).Clear();
    }

    /// <summary>Writes <c>[time, headWidth]</c>, times a factor, back into a head's place.</summary>
    public void Scatter<T>(float* source, float scale, void* target, long first, long stride)
        where T : struct, IStorage
    {
        var width = Shape.HeadWidth;
        var factor = Vector256.Create(scale);
        for (var t = 0; t < Shape.Time; t++)
            for (var i = 0; i < width; i += 8)
                T.Store(target, first + t * stride + i, Vector256.Load(source + t * width + i) * factor);
    }

    /// <summary><c>[time, headWidth]</c> → <c>[headWidth, paddedTime]</c>.</summary>
    public void Transpose(float* source, float* target)
    {
        int width = Shape.HeadWidth, time = Shape.PaddedTime;
        for (var t = 0; t < time; t += 8)
            for (var i = 0; i < width; i++)
                Vector256.Create(
                    source[t * width + i], source[(t + 1) * width + i], source[(t + 2) * width + i], source[(t + 3) * width + i],
                    source[(t + 4) * width + i], source[(t + 5) * width + i], source[(t + 6) * width + i], source[(t + 7) * width + i])
                    .Store(target + i * time + t);
    }

    public void Dispose()
    {
        pin.Free();
        ArrayPool<float>.Shared.Return(rented);
    }

    private float* Take(int length)
    {
        var start = next;
        next += length;
        return start;
    }
}
