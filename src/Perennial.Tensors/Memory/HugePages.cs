using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace Perennial.Tensors;

/// <summary>
/// Large buffers on pages of 2 MiB where the system offers them: matrix products and optimizer passes over hundreds of
/// megabytes otherwise spend their time on address translation. A hint: refusal changes nothing but speed.
/// </summary>
public static partial class HugePages
{
    private const long Page = 2L << 20;

    /// <summary>A float32 tensor of zeros, <c>[length]</c>, outside every dispose scope, on large pages where possible.</summary>
    public static Tensor Zeros(long length) => Zeros(ScalarType.Float32, length);

    /// <summary>As <see cref="Zeros(long)"/>, of another element type.</summary>
    public static Tensor Zeros(ScalarType type, long length)
    {
        using var _ = no_grad();
        // What zero_ gives back is another handle, which belongs to the caller's scope.
        var made = Empty(type, length);
        made.zero_();
        return made;
    }

    /// <summary>A tensor with undefined content, outside every dispose scope, on large pages where possible.</summary>
    public static Tensor Empty(ScalarType type, params ReadOnlySpan<long> shape)
    {
        var tensor = empty(shape.ToArray(), dtype: type).DetachFromDisposeScope();
        Advise(tensor);
        return tensor;
    }

    /// <summary>
    /// Gives the memory under a stretch of a tensor back to the system; it comes again, as zeros, when it is touched. What lies on pages shared with
    /// neighbours stays. Where the system cannot do it nothing is given back.
    /// </summary>
    /// <param name="tensor">Contiguous, in main memory.</param>
    /// <param name="first">First element.</param>
    /// <param name="length">Elements.</param>
    /// <param name="zero">Whether all of the stretch must read as zeros afterwards; otherwise its content is undefined.</param>
    public static unsafe void Release(Tensor tensor, long first, long length, bool zero)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        const nint page = 4096;
        const int dontNeed = 4;
        var start = TensorMemory.Pointer(tensor) + (nint)(first * tensor.ElementSize);
        var end = start + (nint)(length * tensor.ElementSize);
        var (from, to) = ((start + page - 1) / page * page, end / page * page);
        // Pages of another size (some ARM systems) refuse a range that is not aligned to them.
        var isGiven = OperatingSystem.IsLinux() && to > from && MemoryAdvise(from, (nuint)(to - from), dontNeed) == 0;
        if (!zero) return;
        if (!isGiven) (from, to) = (end, end);
        new Span<byte>((void*)start, checked((int)(from - start))).Clear();
        new Span<byte>((void*)to, checked((int)(end - to))).Clear();
    }

    private static void Advise(Tensor tensor)
    {
        var bytes = tensor.NumberOfElements * tensor.ElementSize;
        if (!OperatingSystem.IsLinux() || bytes < 2 * Page) return;
        var start = TensorMemory.Pointer(tensor);
        var first = (start + (nint)Page - 1) / (nint)Page * (nint)Page;
        var end = (nint)((start + bytes) / Page * Page);
        const int wantHugePages = 14;
        if (end > first) _ = MemoryAdvise(first, (nuint)(end - first), wantHugePages);
    }

    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int MemoryAdvise(nint start, nuint length, int advice);
}
