using Perennial.Core.Safetensors;

namespace Perennial.Core.Tests.Safetensors;

public sealed class WriteBehindTests : IDisposable
{
    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("perennial-behind-");

    public void Dispose() => folder.Delete(recursive: true);

    [Fact]
    public void Made_and_lying_tensors_in_any_mixture_are_the_same_file()
    {
        // Several parts each, and a last one that is not whole.
        var bytes = Enumerable.Range(0, 4).Select(i => Enumerable.Range(0, (2 << 20) + 77).Select(at => (byte)(at * 7 + i)).ToArray()).ToArray();
        SafetensorsTensor Lying(int i) => SafetensorsTensor.Of($"t{i}", SafetensorsType.U8, [bytes[i].Length], bytes[i]);
        SafetensorsTensor Made(int i) => SafetensorsTensor.Made($"t{i}", SafetensorsType.U8, [bytes[i].Length], (from, part) => bytes[i].AsSpan((int)from, part.Length).CopyTo(part));
        var truth = SafetensorsWriter.Write(At("lying"), [Lying(0), Lying(1), Lying(2), Lying(3)]);
        for (var made = 1; made < 16; made++)
            Assert.Equal(truth, SafetensorsWriter.Write(At("mixed"), [.. Enumerable.Range(0, 4).Select(i => (made >> i & 1) == 1 ? Made(i) : Lying(i))]));
        Assert.Equal(File.ReadAllBytes(At("lying")), File.ReadAllBytes(At("mixed")));
    }

    [Fact]
    public void What_fails_while_a_part_is_made_leaves_no_file()
    {
        var broken = SafetensorsTensor.Made("t", SafetensorsType.U8, [5 << 20], (from, part) =>
        {
            if (from >= 3 << 20) throw new InvalidDataException("the source is damaged");
        });
        Assert.Throws<InvalidDataException>(() => SafetensorsWriter.Write(At("broken"), [broken]));
        Assert.Empty(folder.GetFiles());
    }

    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    public void What_fails_while_a_part_is_written_is_thrown_to_the_caller_and_nothing_is_written_after_it(int failing)
    {
        var put = new List<int>();
        using var behind = new WriteBehind(4, (buffer, _) =>
        {
            if (buffer[0] == failing) throw new IOException("no space");
            put.Add(buffer[0]);
        });
        Assert.Equal("no space", Assert.Throws<IOException>(() =>
        {
            for (byte part = 0; part < 9; part++)
            {
                var value = part;
                behind.Write(1, buffer => buffer[0] = value);
            }
            behind.Flush();
        }).Message);
        Assert.Equal(Enumerable.Range(0, failing), put);
    }

    private string At(string name) => Path.Combine(folder.FullName, name);
}
