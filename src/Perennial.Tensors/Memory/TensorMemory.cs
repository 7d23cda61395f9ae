using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace Perennial.Tensors;

/// <summary>The memory under tensors of the processor: pointers and spans into it, and tensors over memory that somebody else owns.</summary>
public static unsafe partial class TensorMemory
{
    /// <summary>The first element of a contiguous tensor; valid while the tensor lives.</summary>
    /// <exception cref="ArgumentException">The tensor is not contiguous or not in main memory.</exception>
    public static nint Pointer(Tensor tensor)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        if (!tensor.is_contiguous()) throw new ArgumentException("the tensor is not contiguous", nameof(tensor));
        if (tensor.device_type != TorchSharp.DeviceType.CPU) throw new ArgumentException($"the tensor is on {tensor.device}", nameof(tensor));
        StableAbi.Check(GetDataPointer(tensor.Handle, out var pointer), "aoti_torch_get_data_ptr");
        GC.KeepAlive(tensor);
        return pointer;
    }

    /// <summary>As <see cref="Pointer"/>, after checking the width of the elements: for vectorized passes that libtorch has no operator for.</summary>
    /// <typeparam name="T">A type as wide as the tensor's elements; <c>ushort</c> serves for bfloat16.</typeparam>
    /// <exception cref="ArgumentException">The tensor is not contiguous, not in main memory, or of another width.</exception>
    public static nint Address<T>(Tensor tensor)
        where T : unmanaged
    {
        ArgumentNullException.ThrowIfNull(tensor);
        if (tensor.ElementSize != sizeof(T)) throw new ArgumentException($"elements of {tensor.dtype} have {tensor.ElementSize} bytes, not {sizeof(T)}", nameof(tensor));
        return Pointer(tensor);
    }

    /// <summary>The elements of a contiguous tensor, row after row; valid while the tensor lives. Writes go to the tensor.</summary>
    /// <typeparam name="T">A type as wide as the tensor's elements; <c>ushort</c> serves for bfloat16.</typeparam>
    /// <exception cref="ArgumentException">The tensor is not contiguous, not in main memory, of another width, or beyond 2^31 elements.</exception>
    public static Span<T> Span<T>(Tensor tensor)
        where T : unmanaged
    {
        var pointer = Address<T>(tensor);
        var count = tensor.numel();
        if (count > int.MaxValue) throw new ArgumentException($"{count} elements are more than a span can hold", nameof(tensor));
        return new Span<T>((void*)pointer, (int)count);
    }

    /// <summary>
    /// A contiguous tensor over memory that it does not own: no copy is made, and the memory must outlive the tensor and every view of it.
    /// </summary>
    /// <param name="pointer">First element.</param>
    /// <param name="shape">Dimensions, outermost first; none for a scalar.</param>
    /// <param name="type">Element type.</param>
    public static Tensor Borrow(nint pointer, ReadOnlySpan<long> shape, ScalarType type) => Borrow(pointer, shape, (int)type);

    /// <summary>As <see cref="Borrow(nint, ReadOnlySpan{long}, ScalarType)"/>, by libtorch's own type number: it knows types that the binding does not.</summary>
    internal static Tensor Borrow(nint pointer, ReadOnlySpan<long> shape, int type)
    {
        Span<long> strides = shape.Length <= 16 ? stackalloc long[16] : new long[shape.Length];
        var stride = 1L;
        for (var i = shape.Length - 1; i >= 0; i--)
        {
            strides[i] = stride;
            stride *= Math.Max(1, shape[i]);
        }
        fixed (long* sizes = shape)
        fixed (long* steps = strides)
        {
            StableAbi.Check(FromBlob(pointer, shape.Length, sizes, steps, 0, type, 0, 0, out var handle), "aoti_torch_create_tensor_from_blob");
            return Tensor.UnsafeCreateTensor(handle);
        }
    }

    [LibraryImport("torch_cpu", EntryPoint = "aoti_torch_get_data_ptr")]
    private static partial int GetDataPointer(nint tensor, out nint pointer);

    [LibraryImport("torch_cpu", EntryPoint = "aoti_torch_create_tensor_from_blob")]
    private static partial int FromBlob(nint data, long dimensions, long* sizes, long* strides, long offset, int type, int deviceType, int deviceIndex, out nint handle);
}
