using Perennial.Core;

namespace Perennial.Data.Tokenizers;

/// <summary>The files of a tokenizer that was read, byte for byte: what Perennial does not use (post-processors, chat templates) goes on unchanged.</summary>
/// <param name="Contents">File name → bytes.</param>
internal sealed record TokenizerFiles(IReadOnlyDictionary<string, byte[]> Contents)
{
    private static readonly string[] Companions = ["tokenizer_config.json", "special_tokens_map.json", "vocab.json", "merges.txt"];

    public static TokenizerFiles Of(string file, byte[] json)
    {
        var contents = new Dictionary<string, byte[]>(StringComparer.Ordinal) { [TokenizerJson.FileName] = json };
        var folder = Path.GetDirectoryName(Path.GetFullPath(file))!;
        foreach (var name in Companions)
        {
            var path = Path.Combine(folder, name);
            if (File.Exists(path)) contents[name] = File.ReadAllBytes(path);
        }
        return new TokenizerFiles(contents);
    }

    public void Save(string folder)
    {
        foreach (var (name, bytes) in Contents) AtomicFile.Write(Path.Combine(folder, name), stream => stream.Write(bytes));
    }
}
