using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using Perennial.Core;

namespace Perennial.Data.Tokenizers;

/// <summary>Reads and writes Hugging Face <c>tokenizer.json</c> files of byte-level BPE kind; every other kind is refused by name.</summary>
public static class TokenizerJson
{
    private static readonly JsonSerializerOptions Written = new() { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
    private static readonly string[] EndNames = ["<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>", "<|im_end|>"];

    /// <summary>Reads a <c>tokenizer.json</c>, or the one inside a folder.</summary>
    /// <exception cref="PerennialException">Exit 2: no such file. Exit 3: damaged, or not byte-level BPE.</exception>
    public static BpeTokenizer Load(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        var file = Directory.Exists(path) ? Path.Combine(path, "tokenizer.json") : path;
        if (!File.Exists(file)) throw PerennialException.Usage($"{file}: no such tokenizer file");
        try
        {
            return Read(JsonNode.Parse(File.ReadAllBytes(file)) as JsonObject ?? throw Refuse(file, "is not a JSON object"), file);
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException or FormatException or ArgumentException or KeyNotFoundException)
        {
            throw PerennialException.Damaged($"{file}: not a usable tokenizer: {error.Message.ReplaceLineEndings(" ")}", error);
        }
    }

    /// <summary>Writes <c>tokenizer.json</c> and <c>tokenizer_config.json</c> into a folder.</summary>
    public static void Save(BpeTokenizer tokenizer, string folder)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        var vocabulary = new JsonObject();
        for (var id = 0; id < tokenizer.VocabularySize; id++)
        {
            if (tokenizer.TokenBytes(id) is { } bytes) vocabulary[ByteAlphabet.ToText(bytes)] = id;
        }
        string Name(int id) => ByteAlphabet.ToText(tokenizer.TokenBytes(id)!);
        var gpt2 = tokenizer.Pattern == PreTokenizer.Gpt2Pattern;
        JsonObject ByteLevel(bool regex) => new() { ["type"] = "ByteLevel", ["add_prefix_space"] = false, ["trim_offsets"] = true, ["use_regex"] = regex };
        JsonNode preTokenizer = gpt2 ? ByteLevel(true) : new JsonObject
        {
            ["type"] = "Sequence",
            ["pretokenizers"] = new JsonArray(
                new JsonObject { ["type"] = "Split", ["pattern"] = new JsonObject { ["Regex"] = tokenizer.Pattern }, ["behavior"] = "Isolated", ["invert"] = false },
                ByteLevel(false)),
        };
        var json = new JsonObject
        {
            ["version"] = "1.0",
            ["truncation"] = null,
            ["padding"] = null,
            ["added_tokens"] = new JsonArray([.. tokenizer.Special.Select(special => (JsonNode)new JsonObject
            {
                ["id"] = special.Id, ["content"] = special.Content, ["single_word"] = false, ["lstrip"] = false, ["rstrip"] = false, ["normalized"] = false, ["special"] = true,
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
        AtomicFile.WriteText(Path.Combine(folder, "tokenizer.json"), json.ToJsonString(Written) + "\n");
        var end = tokenizer.Special.FirstOrDefault(special => special.Id == tokenizer.EndOfText)?.Content;
        var config = new JsonObject { ["tokenizer_class"] = "PreTrainedTokenizerFast", ["eos_token"] = end, ["bos_token"] = end, ["unk_token"] = end, ["clean_up_tokenization_spaces"] = false };
        AtomicFile.WriteText(Path.Combine(folder, "tokenizer_config.json"), config.ToJsonString(Written) + "\n");
    }

    private static BpeTokenizer Read(JsonObject json, string file)
    {
        var model = json["model"] as JsonObject ?? throw Refuse(file, "has no 'model'");
        var type = (string?)model["type"] ?? (model["merges"] is not null ? "BPE" : "unknown");
        if (type != "BPE") throw Refuse(file, $"model type '{type}' is not supported; only byte-level BPE is");
        if (model["byte_fallback"] is JsonValue fallback && (bool)fallback!) throw Refuse(file, "model.byte_fallback is not supported; only byte-level BPE is");
        if (model["unk_token"] is not null && model["continuing_subword_prefix"] is JsonValue prefix && ((string?)prefix) is { Length: > 0 }) throw Refuse(file, "model.continuing_subword_prefix is not supported");
        if (json["normalizer"] is JsonObject normalizer && !IsHarmless(normalizer)) throw Refuse(file, $"normalizer '{normalizer["type"]}' is not supported: text would not round-trip");
        var pattern = Pattern(json["pre_tokenizer"], file);

        var vocabulary = model["vocab"] as JsonObject ?? throw Refuse(file, "has no 'model.vocab'");
        var special = (json["added_tokens"] as JsonArray ?? []).Select(token => new SpecialToken((int)token!["id"]!, (string)token["content"]!)).ToList();
        var ids = vocabulary.ToDictionary(entry => entry.Key, entry => (int)entry.Value!, StringComparer.Ordinal);
        var size = Math.Max(ids.Values.DefaultIfEmpty(-1).Max(), special.Select(token => token.Id).DefaultIfEmpty(-1).Max()) + 1;
        if (size is <= 0 or > 10_000_000 || ids.Values.Any(id => id < 0) || special.Any(token => token.Id < 0)) throw Refuse(file, "token ids are out of range");
        var tokens = new byte[]?[size];
        var specialIds = special.Select(token => token.Id).ToHashSet();
        foreach (var (text, id) in ids)
        {
            if (!specialIds.Contains(id)) tokens[id] = ByteAlphabet.ToBytes(text) ?? throw Refuse(file, $"token '{text}' is not byte-level");
        }
        var merges = new List<(int, int, int)>();
        foreach (var merge in model["merges"] as JsonArray ?? throw Refuse(file, "has no 'model.merges'"))
        {
            var parts = merge is JsonArray pair ? [.. pair.Select(part => (string)part!)] : ((string)merge!).Split(' ');
            if (parts.Length != 2 || !ids.TryGetValue(parts[0], out var left) || !ids.TryGetValue(parts[1], out var right) || !ids.TryGetValue(parts[0] + parts[1], out var merged))
                throw Refuse(file, $"merge {merges.Count} ('{string.Join(' ', parts)}') names tokens that are not in the vocabulary");
            merges.Add((left, right, merged));
        }
        var end = special.FirstOrDefault(token => EndNames.Contains(token.Content))?.Id ?? special.FirstOrDefault()?.Id ?? throw Refuse(file, "has no end-of-text token among 'added_tokens'");
        return new BpeTokenizer(tokens, merges, special, end, pattern, model["ignore_merges"] is JsonValue ignore && (bool)ignore!);
    }

    // NFC leaves text that is composed already (nearly all text) alone. We keep the bytes as they are, so that text round-trips
    // exactly; only text in decomposed form gets other ids than Hugging Face gives it.
    private static bool IsHarmless(JsonObject normalizer) => (string?)normalizer["type"] is "NFC"
        || ((string?)normalizer["type"] == "Sequence" && ((normalizer["normalizers"] as JsonArray)?.Count ?? 0) == 0);

    private static string Pattern(JsonNode? node, string file)
    {
        switch ((string?)node?["type"])
        {
            case "ByteLevel":
                if (node!["add_prefix_space"] is JsonValue prefix && (bool)prefix!) throw Refuse(file, "pre_tokenizer.add_prefix_space is not supported: text would not round-trip");
                return PreTokenizer.Gpt2Pattern;
            case "Sequence" when node!["pretokenizers"] is JsonArray steps:
                string? pattern = null;
                var byteLevel = false;
                foreach (var step in steps)
                {
                    switch ((string?)step?["type"])
                    {
                        case "Split" when pattern is null && IsPlainSplit(step!):
                            pattern = (string)step!["pattern"]!["Regex"]!;
                            break;
                        case "ByteLevel":
                            byteLevel = true;
                            if (step!["use_regex"] is JsonValue use && (bool)use! && pattern is null) pattern = PreTokenizer.Gpt2Pattern;
                            break;
                        default:
                            throw Refuse(file, $"pre-tokenizer step '{step?["type"]}' is not supported in this form");
                    }
                }
                if (byteLevel && pattern is not null) return pattern;
                break;
        }
        throw Refuse(file, $"pre-tokenizer '{node?["type"]}' is not byte-level");
    }

    private static bool IsPlainSplit(JsonNode step) => (string?)step["pattern"]?["Regex"] is not null && (string?)step["behavior"] is "Isolated"
        && !(step["invert"] is JsonValue invert && (bool)invert);

    private static PerennialException Refuse(string file, string problem) => PerennialException.Damaged($"{file}: {problem}");
}
