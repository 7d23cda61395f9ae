using System.Text;
using CsCheck;
using Perennial.Data.Sources;

namespace Perennial.Data.Tests;

public class TextSplitTests
{
    private static List<Document> Read(string path, TextSplit split) => [.. TextDocuments.Read(path, path, split, malformed => throw malformed.ToException()).ToBlockingEnumerable()];

    [Fact]
    public void Passages_joined_again_are_the_file_and_cut_only_between_paragraphs() =>
        Gen.Select(Gen.Int[1, 4000].Array[1, 80], Gen.Bool, Gen.Int[2, 5]).Sample((lengths, windows, blanks) =>
        {
            var newline = windows ? "\r\n" : "\n";
            var text = string.Join(string.Concat(Enumerable.Repeat(newline, blanks)), lengths.Select((length, i) => $"{i} " + new string((char)('a' + i % 26), length)));
            using var folder = new TemporaryFolder();
            var documents = Read(folder.Write("a.txt", text), TextSplit.Auto);
            Assert.Equal(text, string.Concat(documents.Select(document => Encoding.UTF8.GetString(document.Text.Span))));
            if (text.Length <= 64 << 10) Assert.Single(documents);
            Assert.All(documents, document => Assert.True(char.IsAsciiDigit((char)document.Text.Span[0])));
            if (documents.Count > 1) Assert.All(documents.SkipLast(1), document => Assert.InRange(document.Text.Length, 8 << 10, (8 << 10) + 4100));
        }, iter: 40);

    [Fact]
    public void Chapters_begin_at_headings()
    {
        using var folder = new TemporaryFolder();
        var body = new string('x', 300);
        var text = $"TITLE\n\n\nVOLUME I\n\nCHAPTER I\n\n{body}\n\nA chapter of accidents is no heading, but a long paragraph that goes on and on and on and on.\n\nChapter 2: The Ball\n\n{body}\n\nEPILOGUE\n\n{body}\n";
        var documents = Read(folder.Write("a.txt", text), TextSplit.Chapter).ConvertAll(document => Encoding.UTF8.GetString(document.Text.Span));
        Assert.Equal(text, string.Concat(documents));
        Assert.Equal(["TITLE", "Chapter 2: The Ball", "EPILOGUE"], documents.Select(document => document.Split('\n')[0]));
        Assert.Equal(61, Read(Path.Combine(Corpus.Folder, "pride-and-prejudice.txt"), TextSplit.Chapter).Count);
    }

    [Fact]
    public void Provenance_names_the_line()
    {
        using var folder = new TemporaryFolder();
        var documents = Read(folder.Write("a.txt", "\uFEFFone\n\n\ntwo\nlines\n\nthree\n"), TextSplit.Paragraph);
        Assert.Equal(["one", "two\nlines", "three"], documents.Select(document => Encoding.UTF8.GetString(document.Text.Span)));
        Assert.Equal([1L, 4, 7], documents.Select(document => document.Origin.Line));
        Assert.Equal([0L, 1, 2], documents.Select(document => document.Origin.Record));
    }

    [Fact]
    public void A_wrong_byte_far_inside_is_named_by_its_offset()
    {
        using var folder = new TemporaryFolder();
        var bytes = File.ReadAllBytes(Path.Combine(Corpus.Folder, "emma.txt"));
        bytes[300_001] = 0x80;
        var path = folder.Write("a.txt", bytes);
        Assert.Contains($"{path}: not UTF-8 at byte 300001 (0x80)", Assert.Throws<Core.PerennialException>(() => Read(path, TextSplit.Auto)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Long_lines_of_json_are_read_whole()
    {
        using var folder = new TemporaryFolder();
        var texts = new[] { 10, 200_000, 3, 1_000_000 }.Select(length => new string('y', length)).ToList();
        var path = folder.Write("a.jsonl", string.Join("\r\n", texts.Select(text => $"{{\"text\":\"{text}\"}}")));
        Assert.Equal(texts, JsonlDocuments.Read(path, path, "text", malformed => throw malformed.ToException()).ToBlockingEnumerable().Select(document => Encoding.UTF8.GetString(document.Text.Span)));
    }
}
