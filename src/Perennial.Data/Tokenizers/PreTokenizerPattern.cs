using System.Text.Json;

namespace Perennial.Data.Tokenizers;

/// <summary>The pattern that a <c>pre_tokenizer</c> entry amounts to.</summary>
internal static class PreTokenizerPattern
{
    /// <summary>Reads the entry: <c>ByteLevel</c> (GPT-2's pattern), or a <c>Split</c> followed by <c>ByteLevel</c> without pattern (Llama 3, Qwen2).</summary>
    public static string Read(JsonElement? node, Func<string, Exception> refuse)
    {
        if (node is not { } entry) throw refuse("has no pre-tokenizer; only byte-level ones are supported");
        JsonElement[] steps = TokenizerJsonReader.Text(entry, "type") == "Sequence" && TokenizerJsonReader.Member(entry, "pretokenizers") is { } list ? [.. list.EnumerateArray()] : [entry];
        string? pattern = null;
        var byteLevel = false;
        foreach (var step in steps)
        {
            var type = TokenizerJsonReader.Text(step, "type");
            switch (type)
            {
                case "Split" when !byteLevel && pattern is null && IsPlainSplit(step):
                    pattern = TokenizerJsonReader.Text(TokenizerJsonReader.Member(step, "pattern")!.Value, "Regex")!;
                    break;
                case "ByteLevel" when !byteLevel:
                    byteLevel = true;
                    if (TokenizerJsonReader.Flag(step, "add_prefix_space")) throw refuse("pre_tokenizer.add_prefix_space is not supported: text would not round-trip");
                    // Absent means true, as in Hugging Face's library.
                    var splits = TokenizerJsonReader.Member(step, "use_regex") is not { ValueKind: JsonValueKind.False };
                    if (splits && pattern is not null) throw refuse("pre-tokenizer 'Split' followed by a 'ByteLevel' that splits again is not supported");
                    // Without any pattern a whole text is one piece.
                    pattern ??= splits ? PreTokenizer.Gpt2Pattern : PreTokenizer.WholePattern;
                    break;
                case "Split" or "ByteLevel":
                    throw refuse($"pre-tokenizer step '{type}' is not supported in this form");
                default:
                    throw refuse($"pre-tokenizer '{type}' is not byte-level");
            }
        }
        return byteLevel && pattern is not null ? pattern : throw refuse($"pre-tokenizer '{TokenizerJsonReader.Text(entry, "type")}' is not byte-level");
    }

    private static bool IsPlainSplit(JsonElement step) =>
        TokenizerJsonReader.Member(step, "pattern") is { } pattern && TokenizerJsonReader.Text(pattern, "Regex") is not null
        && TokenizerJsonReader.Text(step, "behavior") is "Isolated" && !TokenizerJsonReader.Flag(step, "invert");
}
