using System.Text;
using CsCheck;
using Perennial.Data.Text;

namespace Perennial.Data.Tests;

/// <summary>What is counted 64 bytes at a time, against counting word by word.</summary>
public class TextCountsTests
{
    private static readonly Gen<byte[]> Texts = Gen.OneOf(
        Gen.String[Gen.Char["ab1 .-\n\"é…日"], 0, 400],
        Gen.String[Gen.Char["a....--- \n"], 0, 400],
        Gen.String[Gen.Char[" .a"], 56, 72]).Select(Encoding.UTF8.GetBytes);

    private static bool IsSign(byte value) => value is > 0x20 and < 0x80 && !char.IsAsciiLetterOrDigit((char)value);

    private static List<byte[]> Words(byte[] text)
    {
        var (words, word) = (new List<byte[]>(), new List<byte>());
        foreach (var value in text.Append((byte)' '))
        {
            if (value > 0x20) word.Add(value);
            else if (word.Count > 0)
            {
                words.Add([.. word]);
                word.Clear();
            }
        }
        return words;
    }

    [Fact]
    public void Words_are_counted_as_one_by_one() => Texts.Sample(text =>
    {
        var words = Words(text);
        var plain = words.Select(word => word.SkipWhile(IsSign).Reverse().SkipWhile(IsSign).ToArray()).Where(word => word.Length > 0).ToList();
        Assert.Equal(
            new WordCounts(words.Count, plain.Count, plain.Sum(word => word.Count(value => (value & 0xC0) != 0x80)), words.Count(word => word.Any(value => value >= 0x80 || char.IsAsciiLetter((char)value)))),
            WordCounts.Of(text));
    }, iter: 4000);

    [Fact]
    public void Lines_are_those_of_a_split() => Texts.Sample(text =>
    {
        var lines = DocumentLines.Of(text);
        var expected = Encoding.UTF8.GetString(text).Split('\n').ToList();
        if (expected[^1].Length == 0) expected.RemoveAt(expected.Count - 1);
        Assert.Equal(expected, Enumerable.Range(0, lines.Count).Select(line => Encoding.UTF8.GetString(text[lines.Start(line)..lines.Ends[line]])));
        Assert.Equal(expected.Select(line => WordHash.Of(Encoding.UTF8.GetBytes(line))), lines.Hashes.ToArray());
    }, iter: 1000);

    [Fact]
    public void Bounds_are_never_below_what_they_bound() => Gen.String[Gen.Char["ab \n"], 0, 300].Select(Encoding.UTF8.GetBytes).Sample(text =>
    {
        var words = DocumentWords.Of(text);
        var bounds = GramBounds.Of(text, words);
        using var grams = new GramTable(text, words);
        Assert.True(bounds.RepeatedFives >= grams.RepeatedCover(5));
        for (var n = 2; n <= 4 && n <= words.Count; n++)
        {
            grams.MostFrequent(n, out var count);
            Assert.True(bounds.MostFrequentPair >= count);
            Assert.Equal(grams.Longest(n), bounds.Longest(n));
        }
    }, iter: 2000);

    [Fact]
    public void Repetition_counts_lines_and_paragraphs_as_pieces_between_line_ends() => Gen.String[Gen.Char["ab \n\n"], 0, 60].Sample(text =>
    {
        // A piece of the text, without white space around it, cut at every separator, as datatrove cuts.
        static (int All, int Repeated, int Bytes) Pieces(string text, string pattern)
        {
            var pieces = System.Text.RegularExpressions.Regex.Split(text.Trim('\n', ' '), pattern).Where(piece => piece.Length > 0).ToList();
            var seen = new HashSet<string>();
            var repeated = pieces.Where(piece => !seen.Add(piece)).ToList();
            return (pieces.Count, repeated.Count, repeated.Sum(piece => piece.Length));
        }
        var (paragraphs, lines) = (Pieces(text, "\n\n+"), Pieces(text, "\n+"));
        var expected = paragraphs.Repeated > 0.3 * paragraphs.All ? "repeated paragraphs" : paragraphs.Bytes > 0.2 * text.Length ? "bytes in repeated paragraphs"
            : lines.Repeated > 0.3 * lines.All ? "repeated lines" : lines.Bytes > 0.2 * text.Length ? "bytes in repeated lines" : "kept";
        Assert.Equal(expected, OperatorTests.Reason(new Filters.GopherRepetition(new() { Top = [], Repeated = [] }), text));
    }, iter: 4000);
}
