using Perennial.Core;
using Perennial.Core.Safetensors;
using static TorchSharp.torch;

namespace Perennial.Tensors;

/// <summary>Between safetensors files and tensors: copies with a change of element type on the way in, none on the way out.</summary>
public static class SafetensorsBridge
{
    /// <summary>A new tensor with the file's values.</summary>
    /// <param name="file">An open file.</param>
    /// <param name="name">The tensor's name in the file.</param>
    /// <param name="type">Element type of the result; null for the file's own.</param>
    /// <exception cref="PerennialException">The file has no such tensor (exit 3), or its type has no counterpart and none was asked for.</exception>
    public static Tensor Read(this SafetensorsFile file, string name, ScalarType? type = null)
    {
        ArgumentNullException.ThrowIfNull(file);
        var entry = file[name];
        var wanted = type ?? Counterpart(entry.Type) ?? throw PerennialException.Damaged($"{file.Path}: tensor '{name}' is {entry.Type}, which must be read as another type");
        var result = empty([.. entry.Shape], wanted);
        Copy(file, entry, result);
        return result;
    }

    /// <summary>Fills a tensor (or a view into a flat buffer) with the file's values, converted to its element type.</summary>
    /// <param name="file">An open file.</param>
    /// <param name="name">The tensor's name in the file.</param>
    /// <param name="destination">A tensor of exactly the file's shape.</param>
    /// <exception cref="PerennialException">The file has no such tensor, or one of another shape (exit 3).</exception>
    public static void ReadInto(this SafetensorsFile file, string name, Tensor destination)
    {
        ArgumentNullException.ThrowIfNull(file);
        ArgumentNullException.ThrowIfNull(destination);
        var entry = file[name];
        if (!entry.Shape.SequenceEqual(destination.shape))
            throw PerennialException.Damaged($"{file.Path}: tensor '{name}' is [{string.Join(", ", entry.Shape)}], but [{string.Join(", ", destination.shape)}] is needed");
        Copy(file, entry, destination);
    }

    /// <summary>
    /// A tensor over the mapped file itself: nothing is copied until its pages are touched. Read it only (a write ends the process),
    /// and only until the file is disposed.
    /// </summary>
    /// <exception cref="ObjectDisposedException">The file is closed.</exception>
    public static Tensor Borrow(this SafetensorsFile file, SafetensorsEntry entry)
    {
        ArgumentNullException.ThrowIfNull(file);
        ArgumentNullException.ThrowIfNull(entry);
        return TensorMemory.Borrow(file.Pointer(entry), [.. entry.Shape], NativeType(entry.Type));
    }

    /// <summary>Describes a tensor for <see cref="SafetensorsWriter"/>, which reads its memory in place: keep it alive and unchanged until then.</summary>
    /// <param name="tensor">Contiguous, in main memory.</param>
    /// <param name="name">The name in the file.</param>
    /// <exception cref="ArgumentException">The tensor is not contiguous, not in main memory, or of a type that the format lacks.</exception>
    public static SafetensorsTensor ToSafetensors(this Tensor tensor, string name)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        return SafetensorsTensor.At(name, tensor.StoredType(), tensor.shape, TensorMemory.Pointer(tensor));
    }

    /// <summary>The element type that a tensor has in a file.</summary>
    /// <exception cref="ArgumentException">The format lacks it.</exception>
    public static SafetensorsType StoredType(this Tensor tensor)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        foreach (var type in Enum.GetValues<SafetensorsType>())
            if (Counterpart(type) == tensor.dtype) return type;
        throw new ArgumentException($"safetensors has no counterpart of {tensor.dtype}", nameof(tensor));
    }

    /// <summary>Describes a float32 tensor that is made when it is written, and freed then: a file of many never holds more than one.</summary>
    /// <param name="name">The name in the file.</param>
    /// <param name="shape">Its dimensions.</param>
    /// <param name="make">Makes it, contiguous.</param>
    public static SafetensorsTensor Made(string name, IReadOnlyList<long> shape, Func<Tensor> make)
    {
        ArgumentNullException.ThrowIfNull(make);
        Tensor? made = null;
        return SafetensorsTensor.Made(name, SafetensorsType.F32, shape, (from, destination) =>
        {
            made ??= make().DetachFromDisposeScope();
            unsafe
            {
                new ReadOnlySpan<byte>((byte*)TensorMemory.Address<float>(made) + from, destination.Length).CopyTo(destination);
            }
            if (from + destination.Length < made.NumberOfElements * sizeof(float)) return;
            made.Dispose();
            made = null;
        });
    }

    private static void Copy(SafetensorsFile file, SafetensorsEntry entry, Tensor destination)
    {
        if (entry.ByteLength == 0) return;
        using var noGradient = no_grad();
        using var source = file.Borrow(entry);
        _ = destination.copy_(source);
    }

    private static ScalarType? Counterpart(SafetensorsType type) => type switch
    {
        SafetensorsType.F64 => ScalarType.Float64,
        SafetensorsType.F32 => ScalarType.Float32,
        SafetensorsType.F16 => ScalarType.Float16,
        SafetensorsType.BF16 => ScalarType.BFloat16,
        SafetensorsType.I64 => ScalarType.Int64,
        SafetensorsType.I32 => ScalarType.Int32,
        SafetensorsType.I16 => ScalarType.Int16,
        SafetensorsType.I8 => ScalarType.Int8,
        SafetensorsType.U8 => ScalarType.Byte,
        SafetensorsType.BOOL => ScalarType.Bool,
        _ => null,
    };

    // Numbers of c10::ScalarType for types that the binding has no name for.
    private static int NativeType(SafetensorsType type) => type switch
    {
        SafetensorsType.F8_E5M2 => 23,
        SafetensorsType.F8_E4M3 => 24,
        SafetensorsType.U16 => 27,
        SafetensorsType.U32 => 28,
        SafetensorsType.U64 => 29,
        _ => (int)Counterpart(type)!.Value,
    };
}
