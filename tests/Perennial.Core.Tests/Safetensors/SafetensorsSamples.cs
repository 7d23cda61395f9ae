using System.Buffers.Binary;
using System.Text;
using CsCheck;
using Perennial.Core.Safetensors;

namespace Perennial.Core.Tests.Safetensors;

/// <summary>Random tensors and hand-made files.</summary>
internal static class SafetensorsSamples
{
    public static readonly Gen<SafetensorsTensor[]> Sets = Gen
        .Select(Gen.Enum<SafetensorsType>(), Gen.Long[0, 5].Array[0, 3], Gen.Int[0, 1 << 30])
        .Array[0, 8]
        .Select(Gen.String[Gen.Char.AlphaNumeric, 1, 5])
        .Select((tensors, prefix) => tensors.Select((tensor, i) =>
        {
            var (type, shape, seed) = tensor;
            var bytes = new byte[type.Bytes(shape)!.Value];
            new Random(seed).NextBytes(bytes);
            return SafetensorsTensor.Of($"{prefix}.{i}.\"weight\" é\n", type, shape, bytes);
        }).ToArray());

    /// <summary>A file with the given header and so many zero bytes of data.</summary>
    public static byte[] File(string header, int data) => File(Encoding.UTF8.GetBytes(header), data);

    public static byte[] File(byte[] header, int data)
    {
        var file = new byte[8 + header.Length + data];
        BinaryPrimitives.WriteUInt64LittleEndian(file, (ulong)header.Length);
        header.CopyTo(file, 8);
        return file;
    }
}
