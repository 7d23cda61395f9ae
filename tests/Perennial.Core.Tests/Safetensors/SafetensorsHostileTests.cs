using System.Buffers.Binary;
using CsCheck;
using Perennial.Core.Safetensors;

namespace Perennial.Core.Tests.Safetensors;

public sealed class SafetensorsHostileTests : IDisposable
{
    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("perennial-hostile-");

    public void Dispose() => folder.Delete(recursive: true);

    [Theory]
    [InlineData("", 0, "not a JSON object")]
    [InlineData("[]", 0, "not a JSON object")]
    [InlineData(" {}", 0, "not a JSON object")]
    [InlineData("{", 0, "not valid JSON")]
    [InlineData("{}x", 0, "not valid JSON")]
    [InlineData("{} {}", 0, "not valid JSON")]
    [InlineData("{}", 1, "1 bytes after the last tensor")]
    [InlineData("""{"a":1}""", 0, "not an object")]
    [InlineData("""{"a":{}}""", 0, "lacks one of")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1]}}""", 4, "lacks one of")]
    [InlineData("""{"a":{"dtype":"F31","shape":[1],"data_offsets":[0,4]}}""", 4, "unknown dtype 'F31'")]
    [InlineData("""{"a":{"dtype":5,"shape":[1],"data_offsets":[0,4]}}""", 4, "unknown dtype")]
    [InlineData("""{"a":{"dtype":"0","shape":[1],"data_offsets":[0,8]}}""", 8, "unknown dtype")]
    [InlineData("""{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}""", 4, "'dtype' twice")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"extra":1}}""", 4, "unknown key 'extra'")]
    [InlineData("""{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}""", 4, "'shape'")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}}""", 4, "'shape'")]
    [InlineData("""{"a":{"dtype":"F32","shape":["1"],"data_offsets":[0,4]}}""", 4, "'shape'")]
    [InlineData("""{"a":{"dtype":"F32","shape":[[1]],"data_offsets":[0,4]}}""", 4, "'shape'")]
    [InlineData("""{"a":{"dtype":"F32","shape":1,"data_offsets":[0,4]}}""", 4, "not a list")]
    [InlineData("""{"a":{"dtype":"F32","shape":[18446744073709551616],"data_offsets":[0,4]}}""", 4, "'shape'")]
    [InlineData("""{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}}""", 0, "impossible shape")]
    [InlineData("""{"a":{"dtype":"U8","shape":[9223372036854775807,9223372036854775807,0],"data_offsets":[0,0]}}""", 0, "impossible shape")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}""", 4, "needs 8 bytes")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}""", 4, "not [begin, end]")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}}""", 4, "not [begin, end]")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}}""", 4, "'data_offsets'")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}""", 3, "1 bytes after the file")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}""", 5, "1 bytes after the last tensor")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}""", 8, "4 bytes before tensor 'a'")]
    [InlineData("""{"a":{"dtype":"U8","shape":[9223372036854775807],"data_offsets":[0,9223372036854775807]}}""", 5, "after the file")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}}""", 6, "overlap")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[5,9]}}""", 9, "1 bytes before tensor 'b'")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}""", 8, "'a' stands twice")]
    [InlineData("""{"__metadata__":{"a":"1","a":"2"}}""", 0, "stands twice")]
    [InlineData("""{"__metadata__":{"a":1}}""", 0, "not a text")]
    [InlineData("""{"__metadata__":[]}""", 0, "not an object")]
    [InlineData("""{"__metadata__":{},"__metadata__":{}}""", 0, "stands twice")]
    [InlineData("""{"\ud800":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}""", 4, "not valid JSON")]
    [InlineData("""{"a":{"dtype":{"x":{"y":{"z":1}}}}}""", 4, "unknown dtype")]
    public void A_header_that_breaks_the_format_is_refused(string header, int data, string because)
    {
        var error = Refused(SafetensorsSamples.File(header, data));
        Assert.Contains(because, error.Message);
    }

    [Fact]
    public void Invalid_utf8_is_refused() => Assert.Contains("not valid JSON", Refused(SafetensorsSamples.File([(byte)'{', (byte)'"', 0xff, 0xfe, (byte)'"', (byte)':', (byte)'1', (byte)'}'], 0)).Message);

    [Theory]
    [InlineData(100_000_001ul, "more than the 100000000")]
    [InlineData(ulong.MaxValue, "more than the 100000000")]
    [InlineData(1ul << 63, "more than the 100000000")]
    [InlineData(99_999_999ul, "but the file has")]
    [InlineData(9ul, "but the file has")]
    public void A_header_length_bomb_is_refused(ulong length, string because)
    {
        var file = SafetensorsSamples.File("{}      ", 0);
        BinaryPrimitives.WriteUInt64LittleEndian(file, length);
        Assert.Contains(because, Refused(file).Message);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(7)]
    public void A_file_shorter_than_its_length_field_is_refused(int length) => Assert.Contains($"{length} bytes", Refused(new byte[length]).Message);

    [Fact]
    public void A_long_name_with_line_breaks_still_makes_one_short_line()
    {
        var message = Refused(SafetensorsSamples.File($$$"""{"{{{new string('n', 5000)}}}\n":1}""", 0)).Message;
        Assert.DoesNotContain('\n', message);
        Assert.True(message.Length < 1000);
    }

    [Fact]
    public void A_missing_file_and_a_folder_are_told_apart_from_damage()
    {
        Assert.Contains("no such file", Assert.Throws<PerennialException>(() => SafetensorsFile.Open(Path.Combine(folder.FullName, "none"))).Message);
        Assert.Contains("cannot be read", Assert.Throws<PerennialException>(() => SafetensorsFile.Open(folder.FullName)).Message);
    }

    [Fact]
    public void Changed_bytes_are_read_or_refused_but_never_crash()
    {
        var path = Path.Combine(folder.FullName, "m");
        SafetensorsWriter.Write(
            path,
            [
                SafetensorsTensor.Of("model.weight", SafetensorsType.F32, [2, 3], new byte[24]),
                SafetensorsTensor.Of("model.bias", SafetensorsType.BF16, [3], new byte[6]),
                SafetensorsTensor.Of("none", SafetensorsType.I64, [0], Array.Empty<byte>()),
            ],
            new Dictionary<string, string> { ["format"] = "pt" });
        var original = File.ReadAllBytes(path);
        var bytes = Gen.OneOf(Gen.Byte, Gen.Int[0, 14].Select(i => (byte)"{}[]\",:0123459-"[i]));
        Gen.Select(Gen.Select(Gen.Int[0, original.Length - 1], bytes).Array[1, 4], Gen.Int[-6, 3]).Sample((changes, longer) =>
        {
            var changed = original[..];
            foreach (var (at, value) in changes) changed[at] = value;
            Array.Resize(ref changed, original.Length + longer);
            var headerLength = BinaryPrimitives.ReadUInt64LittleEndian(changed);
            if (headerLength > (ulong)changed.Length - 8) return;
            try
            {
                var header = SafetensorsHeader.Parse(changed.AsSpan(8, (int)headerLength), changed.Length - 8 - (int)headerLength, "m");
                Assert.Equal(header.DataLength, header.Entries.Sum(entry => entry.ByteLength));
            }
            catch (PerennialException error)
            {
                Assert.Equal(ExitCode.Damaged, error.Code);
                Assert.DoesNotContain('\n', error.Message);
            }
        }, iter: 30_000);
    }

    private PerennialException Refused(byte[] bytes)
    {
        var path = Path.Combine(folder.FullName, "hostile.safetensors");
        File.WriteAllBytes(path, bytes);
        var error = Assert.Throws<PerennialException>(() => SafetensorsFile.Open(path));
        Assert.Equal(ExitCode.Damaged, error.Code);
        Assert.StartsWith(path, error.Message);
        Assert.DoesNotContain('\n', error.Message);
        return error;
    }
}
