using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Training.Parallel;

/// <summary>
/// Sums of gradients and losses that do not depend on order or grouping, so that a step has the same bits whoever computes which block of
/// its rows: every block's gradient is rounded to whole multiples of 2⁻⁴⁴ and added up as 64-bit integers (pre-rounding, as in Demmel and
/// Nguyen, "Fast reproducible floating-point summation", 2013). A value that is not finite or too large for that makes the whole sum NaN,
/// which the step's own test then refuses.
/// </summary>
internal sealed unsafe class ExactSums : IDisposable
{
    private const int Fraction = 44, Piece = 1 << 16;
    private const double Scale = 1L << Fraction;
    private readonly long length;
    private readonly double limit;
    private readonly Tensor sums;

    /// <param name="length">Number of gradients.</param>
    /// <param name="blocks">Blocks of a step, over all processes.</param>
    public ExactSums(long length, long blocks)
    {
        this.length = length;
        limit = (double)(1L << 62) / Math.Max(1, blocks);
        using var _ = no_grad();
        // Behind the gradients: the loss, and the number of blocks that could not be added.
        sums = zeros(length + 2, ScalarType.Int64).DetachFromDisposeScope();
    }

    /// <summary>The gradients' sums in memory, to be added up over processes as 64-bit integers, one for each gradient.</summary>
    public nint Address => TensorMemory.Address<long>(sums);

    /// <summary>What else must be added up: the loss, and the number of stretches that could not be added.</summary>
    public Span<long> Tail => new((long*)Address + length, 2);

    /// <summary>Begins a step.</summary>
    public void Clear() => NativeMemory.Clear((void*)Address, (nuint)((length + 2) * sizeof(long)));

    /// <summary>Adds one block's gradients.</summary>
    /// <param name="gradients">The block's own flat gradients, float32 <c>[length]</c>.</param>
    public void Add(Tensor gradients) => Add(gradients, new(0, length));

    /// <summary>Adds a stretch of one block's gradients.</summary>
    /// <param name="gradients">The block's own flat gradients, float32 <c>[length]</c>.</param>
    /// <param name="range">The stretch.</param>
    public void Add(Tensor gradients, Range64 range)
    {
        var source = (float*)TensorMemory.Address<float>(gradients) + range.Start;
        var target = (long*)Address + range.Start;
        ThreadTeam.ForRows(range.Length, Piece, (first, end) =>
        {
            if (!AddPiece(source, target, first, end)) Interlocked.Increment(ref Tail[1]);
        });
    }

    /// <summary>Adds one block's part of the loss.</summary>
    public void AddLoss(double loss)
    {
        var scaled = Math.Round(loss * Scale);
        if (Math.Abs(scaled) <= limit) Tail[0] += (long)scaled;
        else Tail[1]++;
    }

    /// <summary>Writes the sums as float32 and returns the loss.</summary>
    public double Read(Tensor gradients)
    {
        var source = (long*)Address;
        var target = (float*)TensorMemory.Address<float>(gradients);
        if (Tail[1] != 0)
        {
            ThreadTeam.ForRows(length, Piece, (first, end) => new Span<float>(target + first, (int)(end - first)).Fill(float.NaN));
            return double.NaN;
        }
        ThreadTeam.ForRows(length, Piece, (first, end) =>
        {
            var i = first;
            for (; i + 8 <= end; i += 8)
                Vector256.Narrow(Vector256.ConvertToDouble(Vector256.Load(source + i)) * (1 / Scale), Vector256.ConvertToDouble(Vector256.Load(source + i + 4)) * (1 / Scale)).Store(target + i);
            for (; i < end; i++) target[i] = (float)(source[i] * (1 / Scale));
        });
        return Tail[0] * (1 / Scale);
    }

    /// <inheritdoc/>
    public void Dispose() => sums.Dispose();

    private bool AddPiece(float* source, long* target, long first, long end)
    {
        var (most, fits, i) = (Vector256.Create(limit), Vector256<double>.AllBitsSet, first);
        for (; i + 8 <= end; i += 8)
        {
            var (low, high) = Vector256.Widen(Vector256.Load(source + i));
            (low, high) = (Vector256.Round(low * Scale), Vector256.Round(high * Scale));
            fits &= Vector256.LessThanOrEqual(Vector256.Abs(low), most) & Vector256.LessThanOrEqual(Vector256.Abs(high), most);
            (Vector256.Load(target + i) + Vector256.ConvertToInt64(low)).Store(target + i);
            (Vector256.Load(target + i + 4) + Vector256.ConvertToInt64(high)).Store(target + i + 4);
        }
        var all = fits.AsInt64() == Vector256<long>.AllBitsSet;
        for (; i < end; i++)
        {
            var scaled = Math.Round(source[i] * Scale);
            all &= Math.Abs(scaled) <= limit;
            target[i] += (long)scaled;
        }
        return all;
    }
}
