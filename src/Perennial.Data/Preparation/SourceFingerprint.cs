using System.IO.Hashing;
using System.Text;
using Perennial.Core.Recipes;
using Perennial.Data.Sources;

namespace Perennial.Data.Preparation;

/// <summary>Content hash of everything that prepared shards depend on.</summary>
public static class SourceFingerprint
{
    private const int FormatVersion = 1;

    /// <summary>Hashes the bytes of every source file and the options that shape the shards (not weights, order or boundaries, which are read later).</summary>
    public static string Of(DataOptions options, ulong seed)
    {
        ArgumentNullException.ThrowIfNull(options);
        var hash = new XxHash128();
        Add(hash, $"perennial data {FormatVersion} seed {seed} holdout {options.Holdout:R}");
        Add(hash, RecipeWriter.ToYaml(options.Tokenizer));
        if (options.Tokenizer is { Kind: TokenizerKind.File, Path: { } path }) Add(hash, Tokenizers.TokenizerJson.Load(path).Fingerprint);
        foreach (var filter in options.Pipeline) Add(hash, RecipeWriter.ToYaml(filter));
        foreach (var source in options.Sources)
        {
            Add(hash, $"source {source.Field} {source.Split}");
            foreach (var file in SourceFiles.Find(source.Path)) Add(hash, $"{file} {Convert.ToHexStringLower(HashFile(file))}");
        }
        return Convert.ToHexStringLower(hash.GetCurrentHash());
    }

    private static byte[] HashFile(string path)
    {
        try
        {
            var hash = new XxHash128();
            using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, 1 << 20, FileOptions.SequentialScan);
            hash.Append(stream);
            return hash.GetCurrentHash();
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw Core.PerennialException.Usage($"data source '{path}': cannot be read: {error.Message}", error);
        }
    }

    private static void Add(XxHash128 hash, string text) => hash.Append(Encoding.UTF8.GetBytes(text + "\n"));
}
