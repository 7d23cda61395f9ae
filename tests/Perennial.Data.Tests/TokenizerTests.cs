using System.Text;
using CsCheck;
using Microsoft.ML.Tokenizers;
using Perennial.Core;
using Perennial.Data.Tokenizers;

namespace Perennial.Data.Tests;

public class TokenizerTests
{
    private static readonly byte[] Sample = File.ReadAllBytes(Path.Combine(Corpus.Folder, "northanger-abbey.txt"))[..200_000];

    private static Perennial.Data.Tokenizers.BpeTokenizer Train(int vocabulary = 700)
    {
        var trainer = new BpeTrainer();
        trainer.Count([Sample]);
        return trainer.Train(vocabulary);
    }

    private static readonly Perennial.Data.Tokenizers.BpeTokenizer Small = Train();

    private static List<int> Encode(ITokenizer tokenizer, byte[] bytes)
    {
        var ids = new List<int>();
        tokenizer.Encode(bytes, ids);
        return ids;
    }

    [Fact]
    public void Arbitrary_bytes_round_trip() => Gen.Byte.Array[0, 400].Sample(bytes => Assert.Equal(bytes, Small.Decode([.. Encode(Small, bytes)])));

    [Fact]
    public void Unicode_round_trips() => Gen.String.Sample(text =>
    {
        var bytes = Encoding.UTF8.GetBytes(text);
        Assert.Equal(bytes, Small.Decode([.. Encode(Small, bytes)]));
    });

    [Fact]
    public void Long_pieces_merge_like_short_ones()
    {
        var word = Encoding.UTF8.GetBytes(string.Concat(Enumerable.Repeat("thereupon", 57))[..128]);
        var text = new byte[word.Length + 1];
        word.CopyTo(text, 0);
        text[^1] = (byte)'x';
        // 129 bytes take the heap's way, 128 the short one; but for the last letter they must agree.
        var (shorter, longer) = (Encode(Small, word), Encode(Small, text));
        Assert.Equal(shorter[..^2], longer[..(shorter.Count - 2)]);
    }

    [Fact]
    public void Training_does_not_depend_on_how_documents_are_grouped()
    {
        var trainer = new BpeTrainer();
        var cut = Sample.AsSpan(0, 100_000).LastIndexOf("\n\n"u8);
        trainer.Count([Sample.AsMemory(0, cut)]);
        trainer.Count([Sample.AsMemory(cut)]);
        var whole = new BpeTrainer();
        whole.Count([Sample.AsMemory(cut), Sample.AsMemory(0, cut)]);
        Assert.Equal(whole.Train(500).Fingerprint, trainer.Train(500).Fingerprint);
    }

    [Fact]
    public void The_vocabulary_has_the_size_asked_for()
    {
        Assert.Equal(700, Small.VocabularySize);
        Assert.Equal(699, Small.EndOfText);
        Assert.True(Encode(Small, Sample).Count < Sample.Length / 2);
    }

    [Fact]
    public void Saving_and_loading_gives_the_same_tokenizer()
    {
        using var folder = new TemporaryFolder();
        Small.Save(folder.Path);
        Assert.Equal(Small.Fingerprint, TokenizerJson.Load(folder.Path).Fingerprint);
    }

    [Theory]
    [InlineData("gpt-4o")]
    [InlineData("gpt-4")]
    public void Built_in_vocabularies_encode_like_the_library(string model)
    {
        var reference = TiktokenTokenizer.CreateForModel(model);
        var ours = model == "gpt-4o" ? TiktokenVocabulary.O200k() : TiktokenVocabulary.Cl100k();
        string[] texts = ["It is a truth universally acknowledged, that a single man's 12345 DON'T\r\n\r\n  x", "naïve Übung — 日本語テキスト, русский 😀👍🏽  \t tabs", Encoding.UTF8.GetString(Sample.AsSpan(0, 20_000))];
        foreach (var text in texts) Assert.Equal(reference.EncodeToIds(text), Encode(ours, Encoding.UTF8.GetBytes(text)));
    }

    [Fact]
    public void Our_training_encodes_like_the_library_with_the_same_merges()
    {
        using var vocabulary = new MemoryStream(Encoding.UTF8.GetBytes("{" + string.Join(",", Enumerable.Range(0, Small.VocabularySize - 1)
            .Select(id => System.Text.Json.JsonSerializer.Serialize(ByteAlphabet.ToText(Small.TokenBytes(id)!)) + ":" + id)) + ",\"<|endoftext|>\":" + Small.EndOfText + "}"));
        using var merges = new MemoryStream(Encoding.UTF8.GetBytes("#version\n" + string.Join("\n", Small.Merges.Select(merge =>
            ByteAlphabet.ToText(Small.TokenBytes(merge.Left)!) + " " + ByteAlphabet.ToText(Small.TokenBytes(merge.Right)!)))));
        var reference = CodeGenTokenizer.Create(vocabulary, merges, addPrefixSpace: false, addBeginOfSentence: false, addEndOfSentence: false);
        var text = Encoding.UTF8.GetString(Sample.AsSpan(50_000, 20_000));
        Assert.Equal(reference.EncodeToIds(text), Encode(Small, Encoding.UTF8.GetBytes(text)));
    }

    [Theory]
    [InlineData("{", "not a usable tokenizer")]
    [InlineData("[]", "is not a JSON object")]
    [InlineData("{\"model\":{\"type\":\"Unigram\"}}", "model type 'Unigram' is not supported")]
    [InlineData("{\"model\":{\"type\":\"BPE\"},\"pre_tokenizer\":{\"type\":\"Metaspace\"}}", "pre-tokenizer 'Metaspace' is not byte-level")]
    public void Other_tokenizers_are_refused_by_name(string json, string expected)
    {
        using var folder = new TemporaryFolder();
        var path = folder.Write("tokenizer.json", json);
        var thrown = Assert.Throws<PerennialException>(() => TokenizerJson.Load(path));
        Assert.Equal(ExitCode.Damaged, thrown.Code);
        Assert.Contains(expected, thrown.Message, StringComparison.Ordinal);
    }
}
