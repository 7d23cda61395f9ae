using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using Perennial.Core;

namespace Perennial.Data.Tokenizers;

/// <summary>Reads and writes Hugging Face <c>tokenizer.json</c> files of byte-level BPE kind; every other kind is refused by name.</summary>
public static class TokenizerJson
{
    /// <summary>The file's name in a checkpoint's folder.</summary>
    public const string FileName = "tokenizer.json";

    private static readonly JsonSerializerOptions Written = new() { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Reads a <c>tokenizer.json</c>, or the one inside a folder.</summary>
    /// <param name="path">The file or its folder.</param>
    /// <param name="endOfText">Asked for the end-of-text id when the files name none; null refuses such files.</param>
    /// <exception cref="PerennialException">Exit 2: no such file. Exit 3: damaged, or not byte-level BPE.</exception>
    public static BpeTokenizer Load(string path, Func<int>? endOfText = null)
    {
        ArgumentNullException.ThrowIfNull(path);
        var file = Directory.Exists(path) ? Path.Combine(path, FileName) : path;
        if (!File.Exists(file)) throw PerennialException.Usage($"{file}: no such tokenizer file");
        try
        {
            var bytes = File.ReadAllBytes(file);
            using var json = JsonDocument.Parse(bytes);
            return TokenizerJsonReader.Read(json.RootElement, file, TokenizerFiles.Of(file, bytes), endOfText);
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException or FormatException or ArgumentException or KeyNotFoundException)
        {
            throw PerennialException.Damaged($"{file}: not a usable tokenizer: {error.Message.ReplaceLineEndings(" ")}", error);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw PerennialException.Usage($"{file}: cannot be read: {error.Message.ReplaceLineEndings(" ")}", error);
        }
    }

    /// <summary>Writes <c>tokenizer.json</c> and <c>tokenizer_config.json</c> into a folder; a tokenizer that was read from files is written as those files were.</summary>
    public static void Save(BpeTokenizer tokenizer, string folder)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        if (tokenizer.Files is not null)
        {
            tokenizer.Files.Save(folder);
            return;
        }
        AtomicFile.WriteText(Path.Combine(folder, FileName), Describe(tokenizer).ToJsonString(Written) + "\n");
        var end = tokenizer.Special.FirstOrDefault(special => special.Id == tokenizer.EndOfText)?.Content;
        var config = new JsonObject { ["tokenizer_class"] = "PreTrainedTokenizerFast", ["eos_token"] = end, ["bos_token"] = end, ["unk_token"] = end, ["clean_up_tokenization_spaces"] = false };
        AtomicFile.WriteText(Path.Combine(folder, "tokenizer_config.json"), config.ToJsonString(Written) + "\n");
    }

    private static JsonObject Describe(BpeTokenizer tokenizer)
    {
        var vocabulary = new JsonObject();
        for (var id = 0; id < tokenizer.VocabularySize; id++)
        {
            if (tokenizer.TokenBytes(id) is { } bytes) vocabulary[ByteAlphabet.ToText(bytes)] = id;
        }
        string Name(int id) => ByteAlphabet.ToText(tokenizer.TokenBytes(id)!);
        JsonObject ByteLevel(bool regex) => new() { ["type"] = "ByteLevel", ["add_prefix_space"] = false, ["trim_offsets"] = true, ["use_regex"] = regex };
        JsonNode preTokenizer = tokenizer.Pattern == PreTokenizer.Gpt2Pattern ? ByteLevel(true) : new JsonObject
        {
            ["type"] = "Sequence",
            ["pretokenizers"] = new JsonArray(
                new JsonObject { ["type"] = "Split", ["pattern"] = new JsonObject { ["Regex"] = tokenizer.Pattern }, ["behavior"] = "Isolated", ["invert"] = false },
                ByteLevel(false)),
        };
        return new JsonObject
        {
            ["version"] = "1.0",
            ["truncation"] = null,
            ["padding"] = null,
            ["added_tokens"] = new JsonArray([.. tokenizer.Special.Select(special => (JsonNode)new JsonObject
            {
                ["id"] = special.Id, ["content"] = special.Content, ["single_word"] = false, ["lstrip"] = false, ["rstrip"] = false, ["normalized"] = false, ["special"] = special.Control,
            })]),
            ["normalizer"] = null,
            ["pre_tokenizer"] = preTokenizer,
            ["post_processor"] = null,
            ["decoder"] = ByteLevel(true),
            ["model"] = new JsonObject
            {
                ["type"] = "BPE", ["dropout"] = null, ["unk_token"] = null, ["continuing_subword_prefix"] = null, ["end_of_word_suffix"] = null,
                ["fuse_unk"] = false, ["byte_fallback"] = false, ["ignore_merges"] = tokenizer.IgnoreMerges,
                ["vocab"] = vocabulary,
                ["merges"] = new JsonArray([.. tokenizer.Merges.Select(merge => (JsonNode)new JsonArray(Name(merge.Left), Name(merge.Right)))]),
            },
        };
    }
}
