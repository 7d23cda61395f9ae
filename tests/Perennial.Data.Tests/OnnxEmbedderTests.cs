using System.Runtime.InteropServices;
using System.Text;
using Perennial.Core;
using Perennial.Data.Deduplication;

namespace Perennial.Data.Tests;

/// <summary>An encoder made by hand, byte by byte: a table of token vectors, looked up by <c>Gather</c>.</summary>
public class OnnxEmbedderTests
{
    private static readonly string[] Vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "small", "little", "dog", "cat", "barks", "##s"];

    // "small" and "little" mean the same; markers mean nothing.
    private static readonly float[,] Table = new float[11, 3]
    {
        { 0, 0, 0 }, { 0, 0, 0 }, { 0, 0, 0 }, { 0, 0, 0 }, { 0, 0, 0 }, { 1, 0, 0 }, { 1, 0, 0 }, { 0, 4, 0 }, { 0, 0, 4 }, { 0, 2, 1 }, { 0, 0, 0 },
    };

    private static byte[] Varint(ulong value)
    {
        var bytes = new List<byte>();
        for (; value >= 128; value >>= 7) bytes.Add((byte)(value | 128));
        return [.. bytes, (byte)value];
    }

    private static byte[] Number(int field, ulong value) => [.. Varint((ulong)field << 3), .. Varint(value)];

    private static byte[] Part(int field, params byte[][] content)
    {
        var all = content.SelectMany(bytes => bytes).ToArray();
        return [.. Varint(((ulong)field << 3) | 2), .. Varint((ulong)all.Length), .. all];
    }

    private static byte[] Text(int field, string text) => Part(field, Encoding.UTF8.GetBytes(text));

    private static byte[] Value(int field, string name, ulong type, params object[] shape) => Part(field, Text(1, name), Part(2, Part(1, Number(1, type), Part(2,
        [.. shape.Select(size => Part(1, size is string free ? Text(2, free) : Number(1, (ulong)(int)size)))]))));

    private static byte[] Model(string input = "input_ids") => [.. Number(1, 8), .. Part(8, Number(2, 13)), .. Part(7,
        Part(1, Text(1, "table"), Text(1, input), Text(2, "last_hidden_state"), Text(4, "Gather")),
        Text(2, "encoder"),
        Part(5, Number(1, 11), Number(1, 3), Number(2, 1), Text(8, "table"), Part(9, MemoryMarshal.AsBytes(MemoryMarshal.CreateReadOnlySpan(ref Table[0, 0], Table.Length)).ToArray())),
        Value(11, input, 7, 1, "tokens"),
        Value(11, "attention_mask", 7, 1, "tokens"),
        Value(12, "last_hidden_state", 1, 1, "tokens", 3))];

    private static OnnxEmbedderOptions Options(TemporaryFolder folder, byte[] model)
    {
        var path = Path.Combine(folder.Path, "encoder.onnx");
        File.WriteAllBytes(path, model);
        return new OnnxEmbedderOptions { Path = path, Tokenizer = folder.Write("vocab.txt", string.Join('\n', Vocabulary) + "\n") };
    }

    [Fact]
    public void The_mean_over_tokens_counts()
    {
        using var folder = new TemporaryFolder();
        using var embedder = new OnnxEmbedder(Options(folder, Model()));
        Assert.Equal(3, embedder.Width);
        var vector = new float[3];
        // [CLS] small dog ##s [SEP]
        embedder.Embed("Small DOGs"u8, vector);
        Assert.Equal([1 / 5f, 4 / 5f, 0], vector);
    }

    [Fact]
    public void What_means_the_same_goes_whatever_its_words()
    {
        using var folder = new TemporaryFolder();
        var options = new SemanticDedupOptions { Embedder = new("onnx", typeof(OnnxEmbedder), Options(folder, Model())), Epsilon = 0.01 };
        Assert.Equal(Options(folder, Model()).Files(), options.Files());
        var kept = DedupTests.Run(folder, [["small dog barks", "little dog barks", "little cat"]], new ComponentSpec<IFilter>("semantic-dedup", typeof(SemanticDedup), options)).Kept;
        Assert.Equal(2, kept.Count);
        Assert.Contains("little cat", kept);
        // Words alone see three texts.
        Assert.Equal(3, DedupTests.Run(folder, [["small dog barks", "little dog barks", "little cat"]], new ComponentSpec<IFilter>("semantic-dedup", typeof(SemanticDedup), new SemanticDedupOptions { Epsilon = 0.01 })).Kept.Count);
    }

    [Fact]
    public void What_is_no_encoder_is_refused_at_the_door()
    {
        using var folder = new TemporaryFolder();
        var good = Options(folder, Model());
        Assert.Contains("does not exist", Assert.Throws<PerennialException>(() => new OnnxEmbedder(good with { Path = "none.onnx" })).Message, StringComparison.Ordinal);
        Assert.Equal(ExitCode.Damaged, Assert.Throws<PerennialException>(() => new OnnxEmbedder(Options(folder, [1, 2, 3]))).Code);
        var picture = Assert.Throws<PerennialException>(() => new OnnxEmbedder(Options(folder, Model("pixels"))));
        Assert.Equal(ExitCode.Usage, picture.Code);
        Assert.Contains("'pixels'", picture.Message, StringComparison.Ordinal);
    }
}
