using System.IO.Hashing;
using static TorchSharp.torch;

namespace Perennial.Tensors;

/// <summary>Hashes the bytes of a tensor where they lie.</summary>
public static class TensorHash
{
    private const int Piece = 1 << 28;

    /// <summary>Adds a tensor's elements to a hash.</summary>
    /// <param name="hash">The hash.</param>
    /// <param name="values">In one piece, in this machine's memory.</param>
    public static unsafe void Append(XxHash128 hash, Tensor values)
    {
        ArgumentNullException.ThrowIfNull(hash);
        ArgumentNullException.ThrowIfNull(values);
        var bytes = values.NumberOfElements * values.ElementSize;
        var start = (byte*)TensorMemory.Pointer(values);
        for (var done = 0L; done < bytes; done += Piece) hash.Append(new ReadOnlySpan<byte>(start + done, (int)Math.Min(Piece, bytes - done)));
    }
}
