using System.IO.Compression;
using System.Text;
using Parquet;
using Parquet.Schema;
using Perennial.Core;
using Perennial.Data.Preparation;
using Perennial.Data.Shards;
using Perennial.Data.Streams;

namespace Perennial.Data.Tests;

public class PreparationTests
{
    private const string Paragraphs = "One fine morning.\n\nTwo ships sailed away from the harbour.\n\nThree birds sang in the tree all day long.\n\nFour winds blew over the hills.\n\n";

    internal static DataOptions Options(TemporaryFolder folder, params string[] paths) => new()
    {
        Sources = [.. paths.Select(path => new SourceOptions { Path = path, Split = TextSplit.Paragraph })],
        Tokenizer = new TokenizerOptions { Vocabulary = 300 },
        Holdout = 0.2,
        Cache = Path.Combine(folder.Path, "cache"),
    };

    internal static string Text(int copies, int from = 0) => string.Concat(Enumerable.Range(from, copies).Select(i => Paragraphs.Replace("O", $"O{i} ", StringComparison.Ordinal).Replace("T", $"T{i} ", StringComparison.Ordinal).Replace("F", $"F{i} ", StringComparison.Ordinal)));

    [Fact]
    public void Text_becomes_windows_and_nothing_is_lost()
    {
        using var folder = new TemporaryFolder();
        var options = Options(folder, folder.Write("a.txt", Text(40)));
        using var data = DataPreparation.Prepare(options, 1);
        var statistics = Assert.Single(data.Statistics);
        Assert.Equal(160, statistics.Documents + statistics.HeldOutDocuments);
        Assert.InRange(statistics.HeldOutDocuments, 10, 60);
        Assert.Equal(statistics.HeldOutBytes, data.HeldOutText().Length);
        var stream = new SampleStream(data, options, 16, 1);
        Assert.Equal((statistics.Tokens - 1) / 16, stream.SamplesPerEpoch);
        var epoch = stream.Read(0, (int)stream.SamplesPerEpoch);
        Assert.Equal(stream.SamplesPerEpoch, epoch.SampleIds.Distinct().Count());
        var again = stream.Read(7, 3);
        Assert.Equal(epoch.Inputs[(7 * 16)..(10 * 16)], again.Inputs);
        Assert.Equal(epoch.Inputs[1], epoch.Targets[0]);
    }

    [Fact]
    public void Prepared_data_is_reused_by_content_and_made_again_when_text_changes()
    {
        using var folder = new TemporaryFolder();
        var path = folder.Write("a.txt", Text(40));
        var options = Options(folder, path);
        string first, stamp;
        using (var data = DataPreparation.Prepare(options, 1)) (first, stamp) = (data.Fingerprint, File.GetLastWriteTimeUtc(Path.Combine(data.Folder, "train-0.tokens")).ToString("O"));
        using (var data = DataPreparation.Prepare(options, 1)) Assert.Equal((first, stamp), (data.Fingerprint, File.GetLastWriteTimeUtc(Path.Combine(data.Folder, "train-0.tokens")).ToString("O")));
        File.AppendAllText(path, "\n\nOne more.");
        using (var data = DataPreparation.Prepare(options, 1)) Assert.NotEqual(first, data.Fingerprint);
    }

    [Fact]
    public async Task Every_format_gives_the_same_documents()
    {
        using var folder = new TemporaryFolder();
        string[] texts = [.. Enumerable.Range(0, 30).Select(i => $"Document {i} says “hello”, 日本 and {Math.Sqrt(i)}.")];
        var jsonl = string.Join('\n', texts.Select(text => System.Text.Json.JsonSerializer.Serialize(new { text, stars = 3 })));
        folder.Write("j/a.jsonl", jsonl);
        using (var memory = new MemoryStream())
        {
            using (var zip = new GZipStream(memory, CompressionLevel.Fastest, leaveOpen: true)) zip.Write(Encoding.UTF8.GetBytes(jsonl));
            folder.Write("g/a.jsonl.gz", memory.ToArray());
        }
        using (var compressor = new ZstdSharp.Compressor()) folder.Write("z/a.jsonl.zst", compressor.Wrap(Encoding.UTF8.GetBytes(jsonl)).ToArray());
        var column = new DataField<string>("text");
        using (var memory = new MemoryStream())
        {
            await using (var writer = await ParquetWriter.CreateAsync(new ParquetSchema(column), memory))
            {
                using var group = writer.CreateRowGroup();
                await group.WriteAsync(column, (IReadOnlyCollection<string?>)texts, null);
                group.CompleteValidate();
            }
            folder.Write("p/a.parquet", memory.ToArray());
        }
        foreach (var kind in new[] { "j", "g", "z", "p" })
        {
            var read = new List<string>();
            await foreach (var document in Sources.DocumentSource.Read(new SourceOptions { Path = Path.Combine(folder.Path, kind) })) read.Add(Encoding.UTF8.GetString(document.Text.Span));
            Assert.Equal(texts, read);
        }
    }

    [Theory]
    [InlineData("a.txt", new byte[] { 65, 0xFF, 66 }, ExitCode.Damaged, "not UTF-8 at byte 1")]
    [InlineData("a.txt.gz", new byte[] { 0x1f, 0x8b, 8, 0, 1, 2, 3 }, ExitCode.Damaged, "broken gzip")]
    [InlineData("a.txt.zst", new byte[] { 1, 2, 3, 4, 5, 6, 7 }, ExitCode.Damaged, "broken zstd")]
    [InlineData("a.parquet", new byte[] { 80, 65, 82, 49, 1, 2, 3 }, ExitCode.Damaged, "broken parquet")]
    [InlineData("a.txt", new byte[] { 32, 10, 10 }, ExitCode.Usage, "hold no text")]
    [InlineData("a.doc", new byte[] { 32, 10, 10 }, ExitCode.Usage, "the ending is not one that is read")]
    [InlineData("a.jsonl", new byte[] { (byte)'{', (byte)'}' }, ExitCode.Damaged, "a.jsonl:1: has no field 'text'")]
    [InlineData("a.jsonl", new byte[] { (byte)'{' }, ExitCode.Damaged, "a.jsonl:1: is not valid JSON")]
    [InlineData("a.jsonl", new byte[] { (byte)'3' }, ExitCode.Damaged, "is not a JSON object")]
    [InlineData("a.jsonl", new byte[] { (byte)'\n', (byte)'"', 0xC3, (byte)'"' }, ExitCode.Damaged, "a.jsonl:2: not UTF-8 at byte 2")]
    [InlineData("a.txt", new byte[] { 0xE2, 0x82 }, ExitCode.Damaged, "not UTF-8 at byte 0")]
    public void Bad_sources_are_named(string name, byte[] bytes, ExitCode code, string expected)
    {
        using var folder = new TemporaryFolder();
        var options = Options(folder, folder.Write(name, bytes));
        var thrown = Assert.Throws<PerennialException>(() => DataPreparation.Prepare(options, 1));
        Assert.Equal(code, thrown.Code);
        Assert.Contains(expected, thrown.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', thrown.Message);
        Assert.Empty(Directory.Exists(options.Cache!) ? Directory.GetDirectories(options.Cache!) : []);
    }

    [Fact]
    public void A_truncated_gzip_is_damage_not_an_early_end()
    {
        using var folder = new TemporaryFolder();
        using var memory = new MemoryStream();
        using (var zip = new GZipStream(memory, CompressionLevel.Fastest, leaveOpen: true)) zip.Write(Encoding.UTF8.GetBytes(Text(400)));
        var options = Options(folder, folder.Write("a.txt.gz", memory.ToArray()[..(int)(memory.Length / 2)]));
        Assert.Equal(ExitCode.Damaged, Assert.Throws<PerennialException>(() => DataPreparation.Prepare(options, 1)).Code);
    }

    [Fact]
    public void A_corpus_shorter_than_a_window_is_refused()
    {
        using var folder = new TemporaryFolder();
        var options = Options(folder, folder.Write("a.txt", Paragraphs));
        using var data = DataPreparation.Prepare(options, 1);
        Assert.Contains("fewer than one window", Assert.Throws<PerennialException>(() => new SampleStream(data, options, 4096, 1)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Missing_paths_and_empty_globs_are_usage_errors()
    {
        using var folder = new TemporaryFolder();
        Assert.Equal(ExitCode.Usage, Assert.Throws<PerennialException>(() => DataPreparation.Prepare(Options(folder, folder.Path + "/none.txt"), 1)).Code);
        Assert.Equal(ExitCode.Usage, Assert.Throws<PerennialException>(() => DataPreparation.Prepare(Options(folder, folder.Path + "/**/*.txt"), 1)).Code);
    }

    [Fact]
    public void Separate_documents_have_segments_and_no_target_across_a_boundary()
    {
        using var folder = new TemporaryFolder();
        var options = Options(folder, folder.Write("a.txt", Text(40))) with { Documents = DocumentBoundary.Separate };
        using var data = DataPreparation.Prepare(options, 1);
        var batch = new SampleStream(data, options, 32, 1).Read(0, 8);
        for (var i = 0; i < batch.Inputs.Length; i++)
        {
            if (batch.Inputs[i] == data.Tokenizer.EndOfText) Assert.Equal(TokenBatch.Ignored, batch.Targets[i]);
            if (i % 32 > 0) Assert.Equal(batch.Segments![i - 1] + (batch.Inputs[i - 1] == data.Tokenizer.EndOfText ? 1 : 0), batch.Segments[i]);
        }
    }

    [Fact]
    public void The_shipped_corpus_is_split_into_passages()
    {
        using var folder = new TemporaryFolder();
        var options = new DataOptions { Sources = [new SourceOptions { Path = Corpus.Folder }], Tokenizer = new() { Vocabulary = 1024 }, Cache = Path.Combine(folder.Path, "cache") };
        using var data = DataPreparation.Prepare(options, 1337);
        Assert.InRange(data.Statistics[0].HeldOutBytes / (double)(data.Statistics[0].HeldOutBytes + data.Statistics[0].TextBytes), 0.02, 0.09);
        var bytes = Directory.GetFiles(Corpus.Folder, "*.txt").Sum(path => new FileInfo(path).Length);
        Assert.InRange(data.Statistics[0].TextBytes + data.Statistics[0].HeldOutBytes, bytes - 100, bytes);
    }
}
