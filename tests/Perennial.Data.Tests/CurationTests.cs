using System.IO.Compression;
using System.Text;
using Perennial.Core;
using Perennial.Data.Curation;
using Perennial.Data.Deduplication;
using Perennial.Data.Filters;
using Perennial.Data.Normalizing;

namespace Perennial.Data.Tests;

public class CurationTests
{
    private static readonly ComponentSpec<IFilter>[] Everything =
    [
        new("unicode", typeof(UnicodeNormalizer), null), new("whitespace", typeof(WhitespaceNormalizer), new WhitespaceOptions()), new("exact-dedup", typeof(ExactDedup), new ExactDedupOptions()),
        new("length", typeof(LengthFilter), new LengthFilterOptions { Minimum = 40 }), new("minhash-dedup", typeof(MinHashDedup), new MinHashDedupOptions()), new("substring-dedup", typeof(SubstringDedup), new SubstringDedupOptions()),
    ];

    private static CurationRequest Request(TemporaryFolder folder, string output, int files = 6) => new(
        [new SourceOptions { Path = Sources(folder, files) }], Everything, Path.Combine(folder.Path, output))
    { Cache = folder.Path };

    // Files above the size of a part would be slow to test: parts are files here because each source glob is its own part.
    private static string Sources(TemporaryFolder folder, int files)
    {
        for (var i = 0; i < files; i++)
        {
            folder.Write($"in/{i}.jsonl", string.Join('\n', Enumerable.Range(0, 50).Select(j => System.Text.Json.JsonSerializer.Serialize(new { text = DedupTests.Words((i * 50 + j) % 120, 30 + j) + (j % 7 == 0 ? "  é" : "") }))));
        }
        return Path.Combine(folder.Path, "in");
    }

    private static string Content(string folder) => string.Join('\n', Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories).Where(path => !path.EndsWith("account.json", StringComparison.Ordinal)).Order(StringComparer.Ordinal)
        .Select(path => Path.GetRelativePath(folder, path) + Convert.ToHexString(System.Security.Cryptography.SHA256.HashData(File.ReadAllBytes(path)))));

    [Fact]
    public void Threads_and_processes_make_no_difference()
    {
        using var folder = new TemporaryFolder();
        var request = Request(folder, "one") with { Threads = 1 };
        CorpusCuration.Run(request);
        CorpusCuration.Run(request with { Output = Path.Combine(folder.Path, "many"), Threads = 4, Memory = 1 });
        Parallel.For(0, 3, _ => CorpusCuration.Run(request with { Output = Path.Combine(folder.Path, "shared") }));
        Assert.Equal(Content(Path.Combine(folder.Path, "one")), Content(Path.Combine(folder.Path, "many")));
        Assert.Equal(Content(Path.Combine(folder.Path, "one")), Content(Path.Combine(folder.Path, "shared")));
        Assert.Equal(["documents", "removed"], Directory.GetDirectories(Path.Combine(folder.Path, "one")).Select(Path.GetFileName).Order());
    }

    [Fact]
    public void What_was_cancelled_is_taken_up_and_ends_alike()
    {
        using var folder = new TemporaryFolder();
        CorpusCuration.Run(Request(folder, "whole"));
        for (var attempt = 0; ; attempt++)
        {
            using var cancellation = new CancellationTokenSource();
            var lines = 0;
            try
            {
                CorpusCuration.Run(Request(folder, "broken"), _ => { if (++lines > attempt) cancellation.Cancel(); }, cancellation.Token);
                break;
            }
            catch (OperationCanceledException)
            {
                Assert.True(attempt < 20);
            }
        }
        Assert.Equal(Content(Path.Combine(folder.Path, "whole")), Content(Path.Combine(folder.Path, "broken")));
    }

    [Fact]
    public void Another_request_does_not_touch_a_folder()
    {
        using var folder = new TemporaryFolder();
        CorpusCuration.Run(Request(folder, "one"));
        var thrown = Assert.Throws<PerennialException>(() => CorpusCuration.Run(Request(folder, "one") with { Seed = 5 }));
        Assert.Equal(ExitCode.Usage, thrown.Code);
        folder.Write("full/something", "x");
        Assert.Contains("is not empty", Assert.Throws<PerennialException>(() => CorpusCuration.Run(Request(folder, "full"))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Malformed_records_are_set_aside_with_their_places()
    {
        using var folder = new TemporaryFolder();
        folder.Write("in/a.jsonl", "{\"text\": \"good one\"}\n{broken\n{\"text\": \"another good one\"}\n{\"other\": 1}\n\n{\"text\": \"third\"}\n{\"text\": \"fourth\"}\n");
        folder.Write("in/b.csv", "id,text\n1,\"a, quoted\"\"text\n2 lines\"\n2,plain\n3\n4,\"last\"");
        using (var memory = new MemoryStream())
        {
            using (var zip = new GZipStream(memory, CompressionLevel.Fastest, leaveOpen: true)) zip.Write(Encoding.UTF8.GetBytes(string.Concat(Enumerable.Range(0, 40_000).Select(i => $"{{\"text\": \"line {i * 7919 % 10007} of a long file\"}}\n"))));
            folder.Write("in/c.jsonl.gz", memory.ToArray()[..(int)(memory.Length / 2)]);
        }
        var output = Path.Combine(folder.Path, "out");
        var account = CorpusCuration.Run(new CurationRequest([new SourceOptions { Path = Path.Combine(folder.Path, "in"), Malformed = 1 }], [], output) { Cache = folder.Path });
        var total = account.Total();
        Assert.Equal(0, account.Unaccounted());
        Assert.Equal((1, 1, 1, 1), (total.Malformed["not valid JSON"], total.Malformed["no text in the field"], total.Malformed["another number of cells than the header"], total.Malformed["broken compression, rest of the file"]));
        Assert.True(total.Documents > 1000);
        var lines = File.ReadAllLines(Path.Combine(output, "malformed.jsonl"));
        Assert.Equal(4, lines.Length);
        Assert.Contains("\"line\":2,\"offset\":21,\"bytes\":8", lines[0], StringComparison.Ordinal);
    }

    [Fact]
    public void Too_many_malformed_records_are_damage()
    {
        using var folder = new TemporaryFolder();
        var path = folder.Write("a.jsonl", "{\"text\": \"good one\"}\n{broken\n{\"text\": 3}\n");
        var thrown = Assert.Throws<PerennialException>(() => CorpusCuration.Run(new CurationRequest([new SourceOptions { Path = path }], [], Path.Combine(folder.Path, "out")) { Cache = folder.Path }));
        Assert.Equal(ExitCode.Damaged, thrown.Code);
        Assert.Contains("a.jsonl:2: is not valid JSON", thrown.Message, StringComparison.Ordinal);
    }
}
