using System.IO.Hashing;
using System.Runtime.InteropServices;
using CsCheck;
using Perennial.Core.Safetensors;

namespace Perennial.Core.Tests.Safetensors;

public sealed class SafetensorsRoundTripTests : IDisposable
{
    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("perennial-safetensors-");

    public void Dispose() => folder.Delete(recursive: true);

    [Fact]
    public void What_is_written_is_read() => SafetensorsSamples.Sets.Sample(tensors =>
    {
        var path = Path.Combine(folder.FullName, Guid.NewGuid().ToString("N"));
        var metadata = new Dictionary<string, string> { ["format"] = "pt", ["an \"odd\"\nkey"] = "" };
        var written = SafetensorsWriter.Write(path, tensors, metadata);
        Assert.Equal(new FileInfo(path).Length, written.Bytes);
        Assert.Equal(Convert.ToHexStringLower(XxHash128.Hash(File.ReadAllBytes(path))), written.Hash);
        using var file = SafetensorsFile.Open(path);
        Assert.Equal(metadata, file.Metadata);
        Assert.Equal(tensors.Length, file.Entries.Count);
        foreach (var tensor in tensors)
        {
            var entry = file[tensor.Name];
            Assert.Equal((tensor.Type, tensor.ByteLength), (entry.Type, entry.ByteLength));
            Assert.Equal(tensor.Shape, entry.Shape);
            Assert.True(file.Bytes(entry).SequenceEqual(tensor.Lying(0, (int)tensor.ByteLength)));
            Assert.Equal(0, file.Pointer(entry) % entry.Type.Size());
        }
    }, iter: 60, threads: 1);

    [Fact]
    public void The_same_input_makes_the_same_bytes_whatever_order_the_metadata_comes_in()
    {
        SafetensorsTensor[] tensors = [SafetensorsTensor.Of("a", SafetensorsType.U8, [3], new byte[] { 1, 2, 3 }), SafetensorsTensor.Of("b", SafetensorsType.F32, [], new byte[4])];
        var one = SafetensorsWriter.Write(Path.Combine(folder.FullName, "1"), tensors, new Dictionary<string, string> { ["x"] = "1", ["a"] = "2" });
        var two = SafetensorsWriter.Write(Path.Combine(folder.FullName, "2"), tensors, new Dictionary<string, string> { ["a"] = "2", ["x"] = "1" });
        Assert.Equal(one, two);
    }

    [Fact]
    public void The_layout_is_the_published_one()
    {
        var path = Path.Combine(folder.FullName, "m");
        SafetensorsWriter.Write(path, [SafetensorsTensor.Of("w", SafetensorsType.F32, [2, 1], new byte[] { 0, 0, 128, 63, 0, 0, 0, 64 })]);
        const string Header = """{"w":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]}}""";
        byte[] expected = [.. SafetensorsSamples.File(Header + new string(' ', -Header.Length & 7), 0), 0, 0, 128, 63, 0, 0, 0, 64];
        Assert.Equal(expected, File.ReadAllBytes(path));
    }

    [Fact]
    public unsafe void Native_memory_larger_than_a_chunk_is_streamed()
    {
        const int Length = (5 << 19) + 12;
        var memory = (byte*)NativeMemory.Alloc(Length);
        try
        {
            Random.Shared.NextBytes(new Span<byte>(memory, Length));
            var path = Path.Combine(folder.FullName, "large");
            SafetensorsWriter.Write(path, [SafetensorsTensor.At("x", SafetensorsType.F32, [Length / 4], (nint)memory)]);
            using var file = SafetensorsFile.Open(path);
            Assert.True(file.Bytes(file["x"]).SequenceEqual(new ReadOnlySpan<byte>(memory, Length)));
            Assert.True(file.Bytes(file["x"], 1000, 8).SequenceEqual(new ReadOnlySpan<byte>(memory + 1000, 8)));
            Assert.Throws<ArgumentOutOfRangeException>(() => file.Bytes(file["x"], Length - 7, 8).Length);
        }
        finally
        {
            NativeMemory.Free(memory);
        }
    }

    [Fact]
    public void A_tensor_beyond_two_gigabytes_is_reached_without_reading_the_file()
    {
        // Sparse: the file takes a few pages on the disk.
        const long Large = 3L << 30;
        var path = Path.Combine(folder.FullName, "sparse");
        var header = SafetensorsSamples.File($$$"""{"a":{"dtype":"U8","shape":[{{{Large}}}],"data_offsets":[0,{{{Large}}}]},"b":{"dtype":"U8","shape":[2],"data_offsets":[{{{Large}}},{{{Large + 2}}}]}}""", 0);
        using (var stream = File.Create(path))
        {
            stream.Write(header);
            stream.Seek(Large, SeekOrigin.Current);
            stream.Write([7, 9]);
        }
        using var file = SafetensorsFile.Open(path);
        Assert.Equal<byte>([7, 9], file.Bytes(file["b"]).ToArray());
        Assert.Equal<byte>([0, 0], file.Bytes(file["a"], Large - 2, 2).ToArray());
        Assert.Throws<ArgumentException>(() => file.Bytes(file["a"]).Length);
    }

    [Fact]
    public void What_cannot_be_written_leaves_the_old_file()
    {
        var path = Path.Combine(folder.FullName, "m");
        var tensor = SafetensorsTensor.Of("w", SafetensorsType.U8, [1], new byte[] { 1 });
        var before = SafetensorsWriter.Write(path, [tensor]);
        Assert.Throws<ArgumentException>(() => SafetensorsWriter.Write(path, [tensor, tensor]));
        Assert.Throws<ArgumentException>(() => SafetensorsTensor.Of("w", SafetensorsType.F32, [2], new byte[7]));
        Assert.Throws<ArgumentException>(() => SafetensorsTensor.Of("w", SafetensorsType.U8, [-1], Array.Empty<byte>()));
        Assert.Throws<ArgumentException>(() => SafetensorsTensor.Of("__metadata__", SafetensorsType.U8, [0], Array.Empty<byte>()));
        Assert.Equal(before.Bytes, new FileInfo(path).Length);
        Assert.Single(folder.GetFiles());
    }

    [Fact]
    public void A_closed_file_gives_nothing()
    {
        var path = Path.Combine(folder.FullName, "m");
        SafetensorsWriter.Write(path, [SafetensorsTensor.Of("w", SafetensorsType.U8, [1], new byte[] { 1 })]);
        var file = SafetensorsFile.Open(path);
        file.Dispose();
        file.Dispose();
        Assert.Throws<ObjectDisposedException>(() => file.Bytes(file["w"]).Length);
    }
}
