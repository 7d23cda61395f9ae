using System.IO.Compression;
using System.Reflection;
using System.Text;
using Perennial.Core;

namespace Perennial.Data.Tokenizers;

/// <summary>OpenAI's vocabularies, out of the data packages of Microsoft.ML.Tokenizers (no download).</summary>
public static class TiktokenVocabulary
{
    /// <summary>The o200k tokenizer.</summary>
    public static BpeTokenizer O200k() => Load("O200kBase", "o200k_base", PreTokenizer.O200kPattern, 199999);

    /// <summary>The cl100k tokenizer.</summary>
    public static BpeTokenizer Cl100k() => Load("Cl100kBase", "cl100k_base", PreTokenizer.Cl100kPattern, 100257);

    private static BpeTokenizer Load(string package, string name, string pattern, int endOfText)
    {
        Assembly assembly;
        try
        {
            assembly = Assembly.Load("Microsoft.ML.Tokenizers.Data." + package);
        }
        catch (FileNotFoundException error)
        {
            throw PerennialException.Missing($"the vocabulary package Microsoft.ML.Tokenizers.Data.{package} is not beside the program; reinstall Perennial", error);
        }
        var resource = assembly.GetManifestResourceNames().First(candidate => candidate.Contains(name, StringComparison.Ordinal));
        using var stream = assembly.GetManifestResourceStream(resource)!;
        using var inflated = resource.EndsWith(".deflate", StringComparison.Ordinal) ? new DeflateStream(stream, CompressionMode.Decompress) : stream;
        using var reader = new StreamReader(inflated, Encoding.UTF8);
        var ranked = new List<(byte[] Bytes, int Rank)>();
        while (reader.ReadLine() is { } line)
        {
            // Lines are "base64 rank", or "base64" alone when ranks count up; a header "Capacity: n" comes first.
            if (line.Length == 0 || line.Contains(':', StringComparison.Ordinal)) continue;
            var split = line.IndexOf(' ', StringComparison.Ordinal);
            var rank = split < 0 ? ranked.Count : int.Parse(line.AsSpan(split + 1), System.Globalization.CultureInfo.InvariantCulture);
            if (split >= 0) line = line[..split];
            ranked.Add((Convert.FromBase64String(line), rank));
        }
        var size = Math.Max(endOfText, ranked.Max(entry => entry.Rank)) + 1;
        var tokens = new byte[]?[size];
        var ids = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (var (bytes, rank) in ranked)
        {
            tokens[rank] = bytes;
            ids[Encoding.Latin1.GetString(bytes)] = rank;
        }
        return new BpeTokenizer(tokens, Merges(ranked, ids), [new SpecialToken(endOfText, BpeTrainer.EndOfTextName)], endOfText, pattern);
    }

    /// <summary>tiktoken merges any neighbours whose joined bytes are a token, lowest rank first: every split of every token, in rank order.</summary>
    private static List<(int, int, int)> Merges(List<(byte[] Bytes, int Rank)> ranked, Dictionary<string, int> ids)
    {
        var merges = new List<(int, int, int)>();
        foreach (var (bytes, rank) in ranked.OrderBy(entry => entry.Rank))
        {
            var text = Encoding.Latin1.GetString(bytes);
            for (var cut = 1; cut < text.Length; cut++)
            {
                if (ids.TryGetValue(text[..cut], out var left) && ids.TryGetValue(text[cut..], out var right)) merges.Add((left, right, rank));
            }
        }
        return merges;
    }
}
