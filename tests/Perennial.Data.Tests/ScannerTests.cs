using System.Text;
using CsCheck;
using Perennial.Data.Tokenizers;
using Perennial.Data.Tokenizers.Scanning;
using TiktokenTokenizer = Microsoft.ML.Tokenizers.TiktokenTokenizer;

namespace Perennial.Data.Tests;

/// <summary>The scanners cut as their regular expressions do, and the encoder gives the ids of Microsoft.ML.Tokenizers.</summary>
public class ScannerTests
{
    // Every kind of character that a pattern treats apart, far more often than chance would bring them.
    private static readonly string[] Atoms =
    [
        " ", "  ", "\n", "\r\n", "\t", "\u00a0", "\u2028", "\u3000", "\u0085", "'", "'s", "'S", "'ll", "'LL", "'lL", "'re", "'d", "'x", "\u017f", "'\u017f", "\u212a", "a", "bc", "Z", "QU", "Word", "wORD",
        "é", "É", "ß", "ǅ", "ʰ", "ª", "漢字", "い", "ा", "क", "\u0301", "e\u0301", "\u0301\u0301", "1", "23", "4567", "²", "Ⅷ", "\u0660", ".", ",!", "/", "//", "-", "§", "€", "😀", "👩‍🚀", "\U0001D400", "\U00010428", "\U000104A0", "\u200b", "\0", "_", "\\", "\"",
    ];

    private static readonly Gen<byte[]> Texts = Gen.Int[0, Atoms.Length - 1].Select(i => Atoms[i]).Array[0, 24].Select(atoms => Encoding.UTF8.GetBytes(string.Concat(atoms)));
    private static readonly Gen<byte[]> Broken = Gen.OneOf(Texts, Gen.Byte.Array[0, 4]).Array[0, 5].Select(parts => parts.SelectMany(part => part).ToArray());

    public static TheoryData<string> Patterns => [PreTokenizer.Gpt2Pattern, PreTokenizer.Cl100kPattern, PreTokenizer.Qwen2Pattern, PreTokenizer.O200kPattern, PreTokenizer.WholePattern];

    private static List<string> Pieces(PreTokenizer splitter, byte[] text)
    {
        var pieces = new List<string>();
        splitter.Split(text, piece => pieces.Add(Convert.ToHexString(piece)));
        return pieces;
    }

    [Theory]
    [MemberData(nameof(Patterns))]
    public void Scanners_cut_like_their_expressions(string pattern)
    {
        var (scanner, expression) = (new PreTokenizer(pattern), new PreTokenizer(pattern, null));
        Assert.NotNull(scanner.Scanner);
        Texts.Sample(text => Assert.Equal(Pieces(expression, text), Pieces(scanner, text)), iter: 4000);
        Broken.Sample(text => Assert.Equal(Pieces(expression, text), Pieces(scanner, text)), iter: 1000);
        Gen.String.Sample(text => Assert.Equal(Pieces(expression, Encoding.UTF8.GetBytes(text)), Pieces(scanner, Encoding.UTF8.GetBytes(text))), iter: 500);
    }

    [Theory]
    [MemberData(nameof(Patterns))]
    public void Every_code_point_of_the_plane_is_of_the_right_kind(string pattern)
    {
        var (scanner, expression) = (new PreTokenizer(pattern), new PreTokenizer(pattern, null));
        var text = new StringBuilder();
        for (var value = 1; value < 0x10000; value++)
        {
            if (!char.IsSurrogate((char)value)) text.Append('a').Append((char)value).Append("b'").Append((char)value).Append(' ').Append((char)value).Append('1');
        }
        var bytes = Encoding.UTF8.GetBytes(text.ToString());
        Assert.Equal(Pieces(expression, bytes), Pieces(scanner, bytes));
    }

    [Theory]
    [InlineData("o200k_base")]
    [InlineData("cl100k_base")]
    public void Ids_are_those_of_Microsoft_ML_Tokenizers(string name)
    {
        var theirs = TiktokenTokenizer.CreateForEncoding(name);
        var ours = name == "o200k_base" ? TiktokenVocabulary.O200k() : TiktokenVocabulary.Cl100k();
        void Same(string text)
        {
            var ids = new List<int>();
            ours.Encode(Encoding.UTF8.GetBytes(text), ids);
            Assert.Equal(theirs.EncodeToIds(text), ids);
        }
        // They match UTF-16 units: half an emoji cannot be the one character that may stand before a word, as it may in tiktoken and here.
        string[] known = [.. Atoms.Where(atom => !atom.Any(char.IsSurrogate))];
        Gen.Int[0, known.Length - 1].Select(i => known[i]).Array[0, 40].Sample(parts => Same(string.Concat(parts)), iter: 1500, threads: 1);
        Gen.Char['\u0001', '\u3100'].Array[0, 60].Sample(characters => Same(new string(characters)), iter: 300, threads: 1);
        Same(File.ReadAllText(Path.Combine(Corpus.Folder, "emma.txt"))[..150_000]);
        Same(new string('a', 3000) + new string('=', 700) + string.Concat(Enumerable.Repeat("abcdefghij", 90)));
    }

    [Fact]
    public async Task Threads_share_one_tokenizer()
    {
        var trainer = new BpeTrainer();
        var text = File.ReadAllBytes(Path.Combine(Corpus.Folder, "emma.txt"));
        trainer.Count([text.AsMemory(0, 50_000)]);
        var tokenizer = trainer.Train(400);
        var expected = new List<int>();
        tokenizer.Encode(text, expected);
        var found = await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => Task.Run(() =>
        {
            var ids = new List<int>();
            tokenizer.Encode(text, ids);
            return ids;
        })));
        Assert.All(found, ids => Assert.Equal(expected, ids));
        Assert.Equal(text, tokenizer.Decode([.. expected]));
    }

    [Fact]
    public void Ids_are_appended_behind_what_a_list_holds()
    {
        var tokenizer = TiktokenVocabulary.Cl100k();
        var ids = new List<int> { 7, 8 };
        tokenizer.Encode("one"u8, ids);
        tokenizer.Encode(""u8, ids);
        tokenizer.Encode(" two"u8, ids);
        Assert.Equal([7, 8, 606, 1403], ids);
    }
}
