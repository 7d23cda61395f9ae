using System.IO.Hashing;
using System.Text;
using Perennial.Core;
using Perennial.Core.Recipes;
using Perennial.Data.Curation;
using Perennial.Data.Sources;

namespace Perennial.Data.Preparation;

/// <summary>Content hash of everything that prepared shards depend on.</summary>
public static class SourceFingerprint
{
    // Goes up whenever the same sources and options would give other shards.
    private const int FormatVersion = 3;

    /// <summary>Hashes the bytes of every source file and the options that shape the shards (not weights, order or boundaries, which are read later; the seed only if a filter draws).</summary>
    public static string Of(DataOptions options, ulong seed, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        var cache = Path.GetFullPath(options.Cache ?? DataPreparation.DefaultCache);
        return Of(options, [.. options.Sources.Select(source => SourceFiles.Locate(source.Path, cache, cancellation))], seed, cancellation);
    }

    internal static string Of(DataOptions options, IReadOnlyList<IReadOnlyList<SourceFile>> files, ulong seed, CancellationToken cancellation, params object[] services)
    {
        var hash = new XxHash128();
        Add(hash, $"perennial data {FormatVersion} split {options.SplitSeed} holdout {options.Holdout:R}");
        Add(hash, RecipeWriter.ToYaml(options.Tokenizer));
        if (options.Tokenizer is { Kind: TokenizerKind.File, Path: { } path }) Add(hash, Tokenizers.TokenizerJson.Load(path).Fingerprint);
        foreach (var filter in options.Pipeline) Add(hash, RecipeWriter.ToYaml(filter) + (Pipeline.DependsOnSeed(filter) ? $" seed {seed}" : ""));
        Add(hash, CurationPlan.FilesOf(options.Pipeline, cancellation));
        if (options.HeldOutPipeline is { } heldOut)
        {
            Add(hash, "held-out documents have operators of their own");
            foreach (var filter in heldOut) Add(hash, RecipeWriter.ToYaml(filter) + (Pipeline.DependsOnSeed(filter) ? $" seed {seed}" : ""));
            Add(hash, CurationPlan.FilesOf(heldOut, cancellation));
        }
        foreach (var (number, source) in options.Sources.Index())
        {
            Add(hash, $"source {source.Field} {source.Split}");
            foreach (var file in files[number]) Add(hash, $"{file.Name} {Convert.ToHexStringLower(HashFile(file.Path, cancellation))}");
        }
        return Convert.ToHexStringLower(hash.GetCurrentHash());
    }

    internal static byte[] HashFile(string path, CancellationToken cancellation)
    {
        try
        {
            var hash = new XxHash128();
            using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, 0, FileOptions.SequentialScan);
            var buffer = new byte[1 << 20];
            for (int read; (read = stream.Read(buffer)) > 0; cancellation.ThrowIfCancellationRequested()) hash.Append(buffer.AsSpan(0, read));
            return hash.GetCurrentHash();
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw PerennialException.Usage($"data source '{path}': cannot be read: {error.Message.ReplaceLineEndings(" ")}", error);
        }
    }

    private static void Add(XxHash128 hash, string text) => hash.Append(Encoding.UTF8.GetBytes(text + "\n"));
}
