using System.Text.Json;
using Perennial.Core;

namespace Perennial.Data.Tokenizers;

/// <summary>Understands the content of a <c>tokenizer.json</c>; whatever would make other ids than Hugging Face's library is refused by name.</summary>
internal static class TokenizerJsonReader
{
    private const int LargestVocabulary = 10_000_000;

    // In the order of preference: the first ones separate documents, the last ones end an answer.
    private static readonly string[] EndNames = ["<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>", "<|eos|>", "<|eot_id|>", "<|im_end|>"];

    public static BpeTokenizer Read(JsonElement json, string file, TokenizerFiles files, Func<int>? endOfText)
    {
        if (json.ValueKind != JsonValueKind.Object) throw Refuse(file, "is not a JSON object");
        if (Member(json, "model") is not { ValueKind: JsonValueKind.Object } model) throw Refuse(file, "has no 'model'");
        CheckModel(model, file);
        if (Member(json, "normalizer") is { } normalizer && !IsHarmless(normalizer)) throw Refuse(file, $"normalizer '{Text(normalizer, "type")}' is not supported: text would not round-trip");
        var pattern = PreTokenizerPattern.Read(Member(json, "pre_tokenizer"), problem => Refuse(file, problem));
        var special = Added(json, file);

        if (Member(model, "vocab") is not { ValueKind: JsonValueKind.Object } vocabulary) throw Refuse(file, "has no 'model.vocab'");
        var ids = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (var entry in vocabulary.EnumerateObject()) ids[entry.Name] = entry.Value.GetInt32();
        if (ids.Values.Concat(special.Select(token => token.Id)).Any(id => id is < 0 or >= LargestVocabulary)) throw Refuse(file, "token ids are out of range");
        var size = Math.Max(ids.Values.DefaultIfEmpty(-1).Max(), special.Select(token => token.Id).DefaultIfEmpty(-1).Max()) + 1;
        var tokens = new byte[]?[size];
        var specialIds = special.Select(token => token.Id).ToHashSet();
        foreach (var (text, id) in ids)
        {
            if (specialIds.Contains(id)) continue;
            if (tokens[id] is not null) throw Refuse(file, $"two tokens have the id {id}");
            tokens[id] = ByteAlphabet.ToBytes(text) ?? throw Refuse(file, $"token '{text}' is not byte-level");
        }
        var end = EndOfText(special, files) ?? endOfText?.Invoke() ?? throw Refuse(file, "has no end-of-text token among 'added_tokens'");
        return new BpeTokenizer(tokens, Merges(model, ids, file), special, end, pattern, Flag(model, "ignore_merges")) { Files = files };
    }

    private static void CheckModel(JsonElement model, string file)
    {
        var type = Text(model, "type") ?? (Member(model, "merges") is not null ? "BPE" : "unknown");
        if (type != "BPE") throw Refuse(file, $"model type '{type}' is not supported; only byte-level BPE is");
        if (Flag(model, "byte_fallback")) throw Refuse(file, "model.byte_fallback is not supported; only byte-level BPE is");
        foreach (var name in new[] { "continuing_subword_prefix", "end_of_word_suffix" })
        {
            if (Text(model, name) is { Length: > 0 } affix) throw Refuse(file, $"model.{name} '{affix}' is not supported; only byte-level BPE is");
        }
        if (Member(model, "dropout") is { ValueKind: JsonValueKind.Number } dropout && dropout.GetDouble() > 0) throw Refuse(file, "model.dropout is not supported: the same text must always give the same ids");
    }

    private static List<SpecialToken> Added(JsonElement json, string file)
    {
        var added = new List<SpecialToken>();
        if (Member(json, "added_tokens") is not { } list) return added;
        foreach (var token in list.EnumerateArray())
        {
            var read = new SpecialToken(token.GetProperty("id").GetInt32(), token.GetProperty("content").GetString()!, Flag(token, "special"));
            foreach (var name in new[] { "single_word", "lstrip", "rstrip" })
            {
                if (!read.Control && Flag(token, name)) throw Refuse(file, $"added token '{read.Content}': '{name}' is not supported: text would not round-trip");
            }
            added.Add(read);
        }
        return added;
    }

    private static List<(int, int, int)> Merges(JsonElement model, Dictionary<string, int> ids, string file)
    {
        if (Member(model, "merges") is not { ValueKind: JsonValueKind.Array } list) throw Refuse(file, "has no 'model.merges'");
        var merges = new List<(int, int, int)>(list.GetArrayLength());
        foreach (var merge in list.EnumerateArray())
        {
            var parts = merge.ValueKind == JsonValueKind.Array ? [.. merge.EnumerateArray().Select(part => part.GetString()!)] : merge.GetString()!.Split(' ');
            if (parts.Length != 2 || !ids.TryGetValue(parts[0], out var left) || !ids.TryGetValue(parts[1], out var right) || !ids.TryGetValue(parts[0] + parts[1], out var merged))
                throw Refuse(file, $"merge {merges.Count} ('{string.Join(' ', parts)}') names tokens that are not in the vocabulary");
            merges.Add((left, right, merged));
        }
        return merges;
    }

    private static int? EndOfText(List<SpecialToken> special, TokenizerFiles files)
    {
        foreach (var name in EndNames)
        {
            if (special.FirstOrDefault(token => token.Content == name) is { } known) return known.Id;
        }
        if (files.Contents.TryGetValue("tokenizer_config.json", out var bytes))
        {
            using var config = JsonDocument.Parse(bytes);
            var named = Member(config.RootElement, "eos_token") switch
            {
                { ValueKind: JsonValueKind.String } text => text.GetString(),
                { ValueKind: JsonValueKind.Object } token => Text(token, "content"),
                _ => null,
            };
            if (special.FirstOrDefault(token => token.Content == named) is { } configured) return configured.Id;
        }
        return special.FirstOrDefault(token => token.Control)?.Id;
    }

    // NFC leaves text that is composed already (nearly all text) alone. We keep the bytes as they are, so that text round-trips
    // exactly; only text in decomposed form gets other ids than Hugging Face gives it.
    private static bool IsHarmless(JsonElement normalizer) => Text(normalizer, "type") switch
    {
        "NFC" => true,
        "Sequence" => Member(normalizer, "normalizers") is not { } steps || steps.EnumerateArray().All(IsHarmless),
        _ => false,
    };

    internal static JsonElement? Member(JsonElement json, string name) =>
        json.ValueKind == JsonValueKind.Object && json.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;

    internal static string? Text(JsonElement json, string name) => Member(json, name) is { ValueKind: JsonValueKind.String } text ? text.GetString() : null;

    internal static bool Flag(JsonElement json, string name) => Member(json, name) is { ValueKind: JsonValueKind.True };

    private static PerennialException Refuse(string file, string problem) => PerennialException.Damaged($"{file}: {problem}");
}
