using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Perennial.Data;
using Perennial.Tensors;

namespace Perennial.Objectives;

/// <summary>Cross-entropy of rows of logits, and in the same visit their gradient in the logits' place.</summary>
/// <typeparam name="T">Storage of the logits; the arithmetic is float32.</typeparam>
internal static unsafe class CrossEntropyRows<T>
    where T : struct, IStorage
{
    /// <summary>
    /// losses[r] ← log Σ exp(logits[r]) − logits[r, target] (0 where the target is ignored); with
    /// <paramref name="differentiate"/> logits[r] ← (softmax − one-hot) · <paramref name="scale"/> (0 where ignored).
    /// </summary>
    /// <param name="rows">Number of rows.</param>
    /// <param name="vocabulary">Logits of a row.</param>
    /// <param name="stride">Elements from one row to the next.</param>
    /// <param name="logits">The first row.</param>
    /// <param name="targets">Ids, one a row.</param>
    /// <param name="losses">Losses in nats, one a row.</param>
    /// <param name="scale">Factor on the gradient.</param>
    /// <param name="differentiate">Whether the gradient is wanted.</param>
    public static void Apply(int rows, int vocabulary, int stride, void* logits, long* targets, double* losses, float scale, bool differentiate) =>
        ThreadTeam.ForRows(rows, 4, (first, end) =>
        {
            for (var row = first; row < end; row++)
                losses[row] = Row((byte*)logits + row * stride * T.Size, vocabulary, targets[row], scale, differentiate);
        });

    private static double Row(byte* logits, int count, long target, float scale, bool differentiate)
    {
        if (target == TokenBatch.Ignored)
        {
            if (differentiate) new Span<byte>(logits, count * T.Size).Clear();
            return 0;
        }
        if ((ulong)target >= (ulong)count) throw new ArgumentException($"target {target} is not in the vocabulary of {count}");
        int whole = count & ~7, tail = count - whole;
        float* last = stackalloc float[8];
        new Span<float>(last, 8).Fill(float.NegativeInfinity);
        for (var i = 0; i < tail; i++) last[i] = Read(logits, whole + i);
        var wanted = Read(logits, (int)target);

        var highest = Vector256.Load(last);
        for (var i = 0; i < whole; i += 8) highest = Vector256.MaxNative(highest, T.Load(logits, i));
        var peak = highest[0];
        for (var i = 1; i < 8; i++) peak = MathF.Max(peak, highest[i]);

        var shift = Vector256.Create(peak);
        var sum = VectorMath.Exp(Vector256.Load(last) - shift);
        for (var i = 0; i < whole; i += 8) sum += VectorMath.Exp(T.Load(logits, i) - shift);
        var total = Vector256.Sum(sum);
        var loss = (double)peak + Math.Log(total) - wanted;
        if (!differentiate) return loss;

        var factor = Vector256.Create(scale / total);
        var hit = (int)target;
        var atTarget = MathF.Exp(wanted - peak) / total * scale - scale;
        for (var i = 0; i < whole; i += 8)
        {
            var slope = VectorMath.Exp(T.Load(logits, i) - shift) * factor;
            T.Store(logits, i, (uint)(hit - i) < 8 ? slope.WithElement(hit - i, atTarget) : slope);
        }
        if (tail == 0) return loss;
        var rest = VectorMath.Exp(Vector256.Load(last) - shift) * factor;
        if (hit >= whole) rest = rest.WithElement(hit - whole, atTarget);
        float* written = stackalloc float[8];
        T.Store(written, 0, rest);
        Buffer.MemoryCopy(written, logits + whole * T.Size, tail * T.Size, tail * T.Size);
        return loss;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float Read(byte* logits, int index) =>
        T.Size == 2 ? BitConverter.UInt32BitsToSingle((uint)((ushort*)logits)[index] << 16) : ((float*)logits)[index];
}
