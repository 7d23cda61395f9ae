using System.IO.Compression;
using System.Text;
using System.Text.Json.Nodes;
using Perennial.Data.Yardsticks;

namespace Perennial.Evaluation.Tests;

public class CompressionYardsticksTests
{
    private static readonly byte[] Text = Encoding.UTF8.GetBytes(string.Concat(Enumerable.Range(0, 2000).Select(i => $"{i * 7919 % 1000} sailors, ")));

    [Fact]
    public void Sizes_are_those_of_files_that_unpack_to_the_text()
    {
        var gzip = CompressionYardsticks.Measure(Text).Single(one => one.Name == "gzip -9");
        using var packed = new MemoryStream();
        using (var stream = new GZipStream(packed, CompressionLevel.SmallestSize, leaveOpen: true)) stream.Write(Text);
        Assert.Equal(packed.Length, gzip.Bytes);
        Assert.Equal(8.0 * packed.Length / Text.Length, gzip.BitsPerByte!.Value, 12);
        Assert.InRange(CompressionYardsticks.Measure(Text).Single(one => one.Name == "zstd -19").Bytes!.Value, 10, gzip.Bytes!.Value);
    }

    [Fact]
    public void A_program_that_is_not_there_is_said_to_be_not_measured()
    {
        var xz = CompressionYardsticks.Measure(Text, "/nowhere/xz").Single(one => one.Name == "xz -9e");
        Assert.Null(xz.Bytes);
        Assert.StartsWith("not measured: ", xz.Missing, StringComparison.Ordinal);
    }

    [Fact]
    public void They_survive_json()
    {
        IReadOnlyList<Yardstick> two = [Yardstick.Measured("gzip -9", 100, 400), new Yardstick("xz -9e", null, null, "not measured")];
        Assert.Equal(two, Yardstick.FromJson(Yardstick.ToJson(two)));
        Assert.Equal(two, Yardstick.FromJson(JsonNode.Parse(Yardstick.ToJson(two).ToJsonString())));
        Assert.Empty(Yardstick.FromJson(null));
        Assert.Empty(CompressionYardsticks.Measure(ReadOnlyMemory<byte>.Empty));
    }
}
