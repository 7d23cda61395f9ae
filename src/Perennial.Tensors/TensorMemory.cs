using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace Perennial.Tensors;

/// <summary>Raw access to a tensor's memory, for vectorized passes that libtorch has no operator for.</summary>
public static class TensorMemory
{
    /// <summary>
    /// Address of the first element of a contiguous tensor on the processor (its own offset included). Valid as long as
    /// the tensor's storage lives; the caller keeps the tensor alive.
    /// </summary>
    /// <typeparam name="T">The element's type; only its size matters (a bfloat16 is read as <see cref="ushort"/>).</typeparam>
    /// <exception cref="ArgumentException">The tensor is not contiguous or its elements have another size.</exception>
    public static unsafe nint Address<T>(Tensor tensor)
        where T : unmanaged
    {
        ArgumentNullException.ThrowIfNull(tensor);
        if (!tensor.is_contiguous()) throw new ArgumentException($"a contiguous tensor is needed; shape [{string.Join(", ", tensor.shape)}]");
        if (tensor.ElementSize != sizeof(T)) throw new ArgumentException($"elements of {sizeof(T)} bytes are needed, the tensor is {tensor.dtype}");
        if (tensor.NumberOfElements == 0) return 0;
        if (tensor.NumberOfElements * sizeof(T) <= int.MaxValue) return (nint)Unsafe.AsPointer(ref MemoryMarshal.GetReference(tensor.bytes));
        using var flat = tensor.view(-1);
        using var first = flat.narrow(0, 0, 1); // a span holds at most 2 GiB
        return (nint)Unsafe.AsPointer(ref MemoryMarshal.GetReference(first.bytes));
    }
}
