using System.Text;
using System.Text.Json.Nodes;
using CsCheck;
using Perennial.Core;
using Perennial.Data.Tokenizers;

namespace Perennial.Data.Tests;

public class TokenizerFileTests
{
    private static readonly string[] Words = ["the ", "then ", "aaaa", "aaaaa ", "banana ", "b", "\n", "ünï", "the"];

    // 256 bytes, then "Ġt", "he", "Ġthe"; special tokens behind them.
    private static JsonObject Small()
    {
        var vocabulary = new JsonObject();
        for (var value = 0; value < 256; value++) vocabulary[ByteAlphabet.ToText([(byte)value])] = value;
        (vocabulary["Ġt"], vocabulary["he"], vocabulary["Ġthe"]) = (256, 257, 258);
        return JsonNode.Parse($$"""
            {
              "version": "1.0", "normalizer": null,
              "added_tokens": [{"id": 259, "content": "<|endoftext|>", "special": true, "lstrip": true}, {"id": 260, "content": "<tool>", "special": false}, {"id": 261, "content": "<tool>>", "special": false}],
              "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true},
              "post_processor": {"type": "TemplateProcessing", "kept": "as it was"},
              "model": {"type": "BPE", "vocab": {{vocabulary.ToJsonString()}}, "merges": ["Ġ t", "h e", "Ġt he"]}
            }
            """)!.AsObject();
    }

    private static BpeTokenizer Load(JsonObject json, string? config = null)
    {
        using var folder = new TemporaryFolder();
        if (config is not null) folder.Write("tokenizer_config.json", config);
        return TokenizerJson.Load(folder.Write("tokenizer.json", json.ToJsonString()));
    }

    private static List<int> Encode(ITokenizer tokenizer, string text)
    {
        var ids = new List<int>();
        tokenizer.Encode(Encoding.UTF8.GetBytes(text), ids);
        return ids;
    }

    [Fact]
    public void Merges_as_strings_and_as_pairs_are_the_same()
    {
        var pairs = Small();
        pairs["model"]!["merges"] = new JsonArray(new JsonArray("Ġ", "t"), new JsonArray("h", "e"), new JsonArray("Ġt", "he"));
        var (one, other) = (Load(Small()), Load(pairs));
        Assert.Equal(one.Fingerprint, other.Fingerprint);
        Assert.Equal([258, 110], Encode(one, " then"));
        Assert.Equal((262, 259), (one.VocabularySize, one.EndOfText));
    }

    [Fact]
    public void Added_words_are_found_in_text_and_control_tokens_are_not()
    {
        var tokenizer = Load(Small());
        Assert.Equal([258, 260, 97, 261, 62], Encode(tokenizer, " the<tool>a<tool>>>"));
        Assert.DoesNotContain(259, Encode(tokenizer, "a<|endoftext|>b"));
        foreach (var text in new[] { " the<tool>a<tool>>", "<|endoftext|>", "<tool", "" })
            Assert.Equal(text, Encoding.UTF8.GetString(tokenizer.Decode([.. Encode(tokenizer, text)])));
    }

    [Fact]
    public void Without_a_named_end_of_text_the_caller_s_is_taken()
    {
        var json = Small();
        json["added_tokens"] = new JsonArray();
        using var folder = new TemporaryFolder();
        var path = folder.Write("tokenizer.json", json.ToJsonString());
        Assert.Equal(7, TokenizerJson.Load(path, () => 7).EndOfText);
        Assert.Throws<PerennialException>(() => TokenizerJson.Load(path));
    }

    [Fact]
    public void A_vocabulary_without_some_byte_encodes_texts_without_it()
    {
        var json = Small();
        json["model"]!["vocab"]!.AsObject().Remove("!");
        var tokenizer = Load(json);
        Assert.Equal([258, 110], Encode(tokenizer, " then"));
        foreach (var text in new[] { "!", " the!n" })
        {
            var thrown = Assert.Throws<PerennialException>(() => Encode(tokenizer, text));
            Assert.Equal(ExitCode.Damaged, thrown.Code);
            Assert.Contains("0x21", thrown.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Ignoring_merges_takes_whole_pieces_first()
    {
        var json = Small();
        json["model"]!["vocab"]!["Ġthx"] = 262;
        Assert.NotEqual([262], Encode(Load(json), " thx"));
        json["model"]!["ignore_merges"] = true;
        Assert.Equal([262], Encode(Load(json), " thx"));
    }

    [Fact]
    public void A_split_with_its_own_pattern_is_honoured()
    {
        var json = Small();
        json["pre_tokenizer"] = JsonNode.Parse("""
            {"type": "Sequence", "pretokenizers": [
              {"type": "Split", "pattern": {"Regex": "(?i:'s|'t)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}+|.|\\s+"}, "behavior": "Isolated", "invert": false},
              {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}]}
            """);
        var tokenizer = Load(json);
        Assert.Equal([258, 57, 57, 57, 57], Encode(tokenizer, " the9999"));
        using var folder = new TemporaryFolder();
        tokenizer.Save(folder.Path);
        Assert.Equal(tokenizer.Fingerprint, TokenizerJson.Load(folder.Path).Fingerprint);
    }

    [Fact]
    public void Saving_what_was_read_keeps_every_byte()
    {
        using var folder = new TemporaryFolder();
        var path = folder.Write("in/tokenizer.json", Small().ToJsonString());
        var config = folder.Write("in/tokenizer_config.json", "{\"chat_template\": \"kept\"}");
        Directory.CreateDirectory(Path.Combine(folder.Path, "out"));
        TokenizerJson.Load(path).Save(Path.Combine(folder.Path, "out"));
        Assert.Equal(File.ReadAllBytes(path), File.ReadAllBytes(Path.Combine(folder.Path, "out", "tokenizer.json")));
        Assert.Equal(File.ReadAllBytes(config), File.ReadAllBytes(Path.Combine(folder.Path, "out", "tokenizer_config.json")));
    }

    [Fact]
    public void The_end_of_text_is_known_by_name_or_from_the_configuration()
    {
        var json = Small();
        json["added_tokens"] = JsonNode.Parse("""[{"id": 259, "content": "<first>", "special": true}, {"id": 260, "content": "<last>", "special": true}]""");
        Assert.Equal(259, Load(json).EndOfText);
        Assert.Equal(260, Load(json, """{"eos_token": "<last>"}""").EndOfText);
        Assert.Equal(260, Load(json, """{"eos_token": {"content": "<last>"}}""").EndOfText);
    }

    [Theory]
    [InlineData("model", """{"type": "Unigram"}""", "model type 'Unigram'")]
    [InlineData("model", """{"type": "WordPiece"}""", "model type 'WordPiece'")]
    [InlineData("normalizer", """{"type": "Lowercase"}""", "normalizer 'Lowercase'")]
    [InlineData("normalizer", """{"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Prepend"}]}""", "normalizer 'Sequence'")]
    [InlineData("pre_tokenizer", """{"type": "Metaspace"}""", "pre-tokenizer 'Metaspace'")]
    [InlineData("pre_tokenizer", "null", "has no pre-tokenizer")]
    [InlineData("pre_tokenizer", """{"type": "ByteLevel", "add_prefix_space": true}""", "add_prefix_space")]
    [InlineData("pre_tokenizer", """{"type": "Sequence", "pretokenizers": [{"type": "Digits"}, {"type": "ByteLevel"}]}""", "'Digits'")]
    [InlineData("pre_tokenizer", """{"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"String": " "}, "behavior": "Removed"}, {"type": "ByteLevel"}]}""", "'Split'")]
    [InlineData("added_tokens", """[{"id": 259, "content": "<|endoftext|>", "special": true}, {"id": 260, "content": "x", "rstrip": true}]""", "'rstrip'")]
    [InlineData("added_tokens", "[]", "end-of-text")]
    [InlineData("added_tokens", """[{"id": -1, "content": "<|endoftext|>", "special": true}]""", "out of range")]
    [InlineData("added_tokens", """[{"id": 2000000000, "content": "<|endoftext|>", "special": true}]""", "out of range")]
    public void What_cannot_be_honoured_is_refused_by_name(string key, string value, string expected)
    {
        var json = Small();
        json[key] = JsonNode.Parse(value);
        var thrown = Assert.Throws<PerennialException>(() => Load(json));
        Assert.Equal(ExitCode.Damaged, thrown.Code);
        Assert.Contains(expected, thrown.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Training_finds_the_merges_that_counting_by_hand_finds() =>
        Gen.Int[0, Words.Length - 1].Select(word => Words[word]).Array[1, 60].Sample(words =>
        {
            var text = Encoding.UTF8.GetBytes(string.Concat(words));
            var trainer = new BpeTrainer();
            trainer.Count([text]);
            Assert.Equal(ByHand(text, 20), trainer.Train(277).Merges.Select(merge => (merge.Left, merge.Right)));
        }, iter: 100);

    /// <summary>The definition, with nothing clever: count every pair anew, merge the most frequent, smallest ids first.</summary>
    private static List<(int, int)> ByHand(byte[] text, int count)
    {
        var pieces = new List<List<int>>();
        new PreTokenizer(PreTokenizer.Gpt2Pattern).Split(text, piece => pieces.Add([.. piece.ToArray().Select(value => (int)value)]));
        var merges = new List<(int, int)>();
        while (merges.Count < count)
        {
            var pairs = pieces.SelectMany(piece => piece.Zip(piece.Skip(1))).GroupBy(pair => pair).OrderByDescending(group => group.Count()).ThenBy(group => group.Key).FirstOrDefault();
            if (pairs is null) break;
            var (left, right) = pairs.Key;
            foreach (var piece in pieces)
            {
                for (var i = 0; i + 1 < piece.Count; i++)
                {
                    if (piece[i] != left || piece[i + 1] != right) continue;
                    piece[i] = 256 + merges.Count;
                    piece.RemoveAt(i + 1);
                }
            }
            merges.Add((left, right));
        }
        return merges;
    }
}
