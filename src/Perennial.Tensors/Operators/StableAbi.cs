using System.Runtime.InteropServices;

namespace Perennial.Tensors;

/// <summary>The few functions of libtorch's stable C ABI (torch/csrc/stable/c/shim.h) that calls by name need.</summary>
internal static unsafe partial class StableAbi
{
    /// <summary>The ABI this code speaks, 2.10, as major &lt;&lt; 56 | minor &lt;&lt; 48: libtorch keeps old schemas alive for it.</summary>
    internal const ulong Version = (2ul << 56) | (10ul << 48);

    private const string Library = "torch_cpu";

    [LibraryImport(Library, EntryPoint = "torch_call_dispatcher", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int CallDispatcher(string name, string overload, ulong* stack, ulong version);

    [LibraryImport(Library, EntryPoint = "aoti_torch_new_tensor_handle")]
    internal static partial int NewTensorHandle(nint tensor, out nint handle);

    [LibraryImport(Library, EntryPoint = "torch_new_list_reserve_size")]
    internal static partial int NewList(nuint size, out nint list);

    [LibraryImport(Library, EntryPoint = "torch_list_push_back")]
    internal static partial int PushBack(nint list, ulong element);

    /// <summary>Turns an error code into an exception.</summary>
    /// <exception cref="OperatorException">The code is not 0.</exception>
    internal static void Check(int code, string what)
    {
        if (code != 0) throw new OperatorException($"libtorch refused {what} with code {code}; its own message is on standard error");
    }
}
