using Perennial.Core;
using Perennial.Data.Benchmarks;

namespace Perennial.Data.Tests;

public class ScaleCorpusTests
{
    private static readonly string[] Paragraphs = [.. Enumerable.Range(0, 30).Select(i => string.Join(' ', Enumerable.Range(0, 12).Select(j => $"word{i * j % 97}\"")))];

    [Fact]
    public void The_same_seed_gives_the_same_bytes_and_a_second_writing_changes_nothing()
    {
        using var folder = new TemporaryFolder();
        var (one, two) = (Path.Combine(folder.Path, "one"), Path.Combine(folder.Path, "two"));
        var written = new ScaleCorpus(7, Paragraphs).Write(one, 400_000);
        Assert.Equal(written, new ScaleCorpus(7, Paragraphs).Write(two, 400_000));
        Assert.Equal(written, new ScaleCorpus(7, Paragraphs).Write(one, 400_000));
        Assert.Equal(File.ReadAllBytes(Path.Combine(one, "part-00000.jsonl")), File.ReadAllBytes(Path.Combine(two, "part-00000.jsonl")));
        var lines = File.ReadAllLines(Path.Combine(one, "part-00000.jsonl"));
        Assert.Equal((written.Documents, written.ExactCopies), (lines.Length, lines.Length - lines.Distinct().Count()));
        Assert.True(written.Bytes >= 400_000 && written.ExactCopies > 0);
        Assert.All(lines, line => System.Text.Json.JsonDocument.Parse(line).Dispose());
        Assert.Equal(ExitCode.Usage, Assert.Throws<PerennialException>(() => new ScaleCorpus(8, Paragraphs).Write(one, 400_000)).Code);
    }
}
