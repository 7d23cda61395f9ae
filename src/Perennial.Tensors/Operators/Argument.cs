using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace Perennial.Tensors;

/// <summary>
/// One argument of an operator call. Tensors, whole numbers, real numbers and truth values convert by themselves; optional values
/// and lists are made by name. A value of schema type <c>Scalar</c> cannot be passed: the stable C ABI refuses it.
/// </summary>
public readonly struct Argument
{
    private readonly Kind kind;
    private readonly ulong word;
    private readonly object? content;

    private Argument(Kind kind, ulong word, object? content = null) => (this.kind, this.word, this.content) = (kind, word, content);

    private enum Kind : byte { Word, OptionalWord, Tensor, OptionalTensor, Tensors, Integers }

    /// <summary>An optional argument that is absent.</summary>
    public static Argument None => new(Kind.Word, 0);

    /// <summary>A tensor that an operator takes as <c>Tensor</c>.</summary>
    public static implicit operator Argument(Tensor value) => new(Kind.Tensor, 0, value ?? throw new ArgumentNullException(nameof(value)));

    /// <summary>A whole number that an operator takes as <c>int</c> or <c>SymInt</c>.</summary>
    public static implicit operator Argument(long value) => new(Kind.Word, unchecked((ulong)value));

    /// <summary>A real number that an operator takes as <c>float</c> (always 64 bits in a schema).</summary>
    public static implicit operator Argument(double value) => new(Kind.Word, BitConverter.DoubleToUInt64Bits(value));

    /// <summary>A truth value that an operator takes as <c>bool</c>.</summary>
    public static implicit operator Argument(bool value) => new(Kind.Word, value ? 1ul : 0ul);

    /// <summary>For <c>Tensor?</c>.</summary>
    public static Argument Optional(Tensor? value) => value is null ? None : new(Kind.OptionalTensor, 0, value);

    /// <summary>For <c>float?</c>.</summary>
    public static Argument Optional(double? value) => value is { } number ? new(Kind.OptionalWord, BitConverter.DoubleToUInt64Bits(number)) : None;

    /// <summary>For <c>int?</c>.</summary>
    public static Argument Optional(long? value) => value is { } number ? new(Kind.OptionalWord, unchecked((ulong)number)) : None;

    /// <summary>For <c>int[]</c> and <c>SymInt[]</c>.</summary>
    public static Argument List(params long[] values) => new(Kind.Integers, 0, values ?? throw new ArgumentNullException(nameof(values)));

    /// <summary>For <c>Tensor[]</c>.</summary>
    public static Argument List(params IReadOnlyList<Tensor> values) => new(Kind.Tensors, 0, values ?? throw new ArgumentNullException(nameof(values)));

    /// <summary>The word that goes on the stack. What it points to is handed over to the call, which frees it.</summary>
    internal unsafe ulong ToStack() => kind switch
    {
        Kind.Word => word,
        Kind.OptionalWord => Cell(word),
        Kind.Tensor => FreshHandle((Tensor)content!),
        Kind.OptionalTensor => Cell(FreshHandle((Tensor)content!)),
        Kind.Tensors => TensorList((IReadOnlyList<Tensor>)content!),
        _ => IntegerList((long[])content!),
    };

    // An optional is a cell that libtorch frees with C++ delete, which is free() on every platform here, as is .NET's allocator malloc().
    private static unsafe ulong Cell(ulong value)
    {
        var cell = (ulong*)NativeMemory.Alloc(sizeof(ulong));
        *cell = value;
        return (ulong)cell;
    }

    private static ulong FreshHandle(Tensor tensor)
    {
        StableAbi.Check(StableAbi.NewTensorHandle(tensor.Handle, out var handle), "aoti_torch_new_tensor_handle");
        GC.KeepAlive(tensor);
        return (ulong)handle;
    }

    private static ulong TensorList(IReadOnlyList<Tensor> tensors)
    {
        StableAbi.Check(StableAbi.NewList((nuint)tensors.Count, out var list), "torch_new_list_reserve_size");
        foreach (var tensor in tensors) StableAbi.Check(StableAbi.PushBack(list, FreshHandle(tensor)), "torch_list_push_back");
        return (ulong)list;
    }

    private static ulong IntegerList(long[] values)
    {
        StableAbi.Check(StableAbi.NewList((nuint)values.Length, out var list), "torch_new_list_reserve_size");
        foreach (var value in values) StableAbi.Check(StableAbi.PushBack(list, unchecked((ulong)value)), "torch_list_push_back");
        return (ulong)list;
    }
}
