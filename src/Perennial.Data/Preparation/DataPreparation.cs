using Perennial.Core;
using Perennial.Data.Curation;
using Perennial.Data.Shards;
using Perennial.Data.Sources;
using Perennial.Data.Tokenizers;

namespace Perennial.Data.Preparation;

/// <summary>
/// From sources to token shards, once: results lie in a cache folder named by content hash and are reused by whatever run has
/// the same sources, tokenizer and options. A prepared folder is made under a temporary name and renamed: it is whole or absent.
/// </summary>
public static class DataPreparation
{
    /// <summary>Ending of the folder that holds what is half prepared.</summary>
    public const string WorkSuffix = ".work";

    /// <summary>The folder used when a recipe names none: <c>$XDG_CACHE_HOME/perennial/data</c> or <c>~/.cache/perennial/data</c>; on Windows the local application data.</summary>
    public static string DefaultCache =>
        Path.Combine(Environment.GetEnvironmentVariable("XDG_CACHE_HOME") is { Length: > 0 } xdg ? xdg
            : OperatingSystem.IsWindows() ? Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData)
            : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache"), "perennial", "data");

    /// <summary>Prepares data, or opens what is prepared already. Several processes that prepare the same share the work; one that was killed is taken up where it stood.</summary>
    /// <param name="options">The recipe's data.</param>
    /// <param name="seed">Key of filters' draws (the held-out split has its own, <see cref="DataOptions.SplitSeed"/>).</param>
    /// <param name="notify">Takes progress lines; may be null.</param>
    /// <param name="cancellation">Stops between batches of documents; finished parts stay for the next attempt.</param>
    /// <param name="services">What operators' constructors may ask for beside a <see cref="FilterContext"/>, such as an embedder.</param>
    /// <exception cref="PerennialException">Exit 1: the cache cannot be written. Exit 2: bad or empty sources. Exit 3: damaged sources or shards.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static PreparedData Prepare(DataOptions options, ulong seed, Action<string>? notify = null, CancellationToken cancellation = default, params object[] services)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(services);
        var cache = Path.GetFullPath(options.Cache ?? DefaultCache);
        IReadOnlyList<IReadOnlyList<SourceFile>> files = [.. options.Sources.Select(source => SourceFiles.Locate(source.Path, cache, cancellation))];
        var fingerprint = SourceFingerprint.Of(options, files, seed, cancellation, services);
        var folder = Path.Combine(cache, fingerprint);
        try
        {
            if (!Directory.Exists(folder))
            {
                var plan = new CurationPlan(options.Sources, files, options.Pipeline, seed) { Holdout = new HoldoutRule(options.Holdout, options.SplitSeed), Services = services, HeldOutPipeline = options.HeldOutPipeline };
                Make(folder, options, plan, notify, cancellation);
            }
        }
        catch (Exception error) when (error is UnauthorizedAccessException or IOException)
        {
            throw PerennialException.Failed($"{folder}: prepared data cannot be written: {error.Message.ReplaceLineEndings(" ")}; set data.cache to a writable folder with room", error);
        }
        return Open(options, fingerprint, folder);
    }

    private static void Make(string folder, DataOptions options, CurationPlan plan, Action<string>? notify, CancellationToken cancellation)
    {
        var work = new WorkFolder(folder + WorkSuffix, cancellation) { Product = folder };
        try
        {
            Directory.CreateDirectory(work.Path);
            // Another process may have finished between our look and our folder.
            if (!Directory.Exists(folder)) new Preparer(options, plan, work, folder, notify).Run();
        }
        catch (PerennialException)
        {
            // The same would happen again: nothing here is worth keeping.
            Remove(work.Path);
            throw;
        }
        catch (IOException) when (Directory.Exists(folder))
        {
            // Another process finished while we waited, and cleared the work away.
        }
        Remove(work.Path);
    }

    private static void Remove(string folder)
    {
        try { Directory.Delete(folder, recursive: true); }
        catch (DirectoryNotFoundException) { /* another process was first */ }
        catch (IOException) { /* another process still looks around in it, and will remove it */ }
        catch (UnauthorizedAccessException) { /* the same */ }
    }

    private static PreparedData Open(DataOptions options, string fingerprint, string folder)
    {
        var manifest = PreparedManifest.Load(folder);
        BpeTokenizer tokenizer;
        try
        {
            tokenizer = TokenizerJson.Load(folder);
        }
        catch (PerennialException)
        {
            // Whatever is wrong with a file that was written here, the cure is the same.
            throw PreparedManifest.Damage(Path.Combine(folder, TokenizerJson.FileName), folder);
        }
        if (tokenizer.Fingerprint != manifest.TokenizerFingerprint) throw PreparedManifest.Damage(Path.Combine(folder, TokenizerJson.FileName), folder);
        var opened = new List<TokenShard>();
        try
        {
            List<TokenShard> Shards(Func<int, string> name, IReadOnlyList<string> checksums)
            {
                for (var i = 0; i < options.Sources.Count; i++)
                {
                    opened.Add(TokenShard.Open(Path.Combine(folder, name(i))));
                    if (i >= checksums.Count || opened[^1].Checksum != checksums[i]) throw PreparedManifest.Damage(opened[^1].Path, folder);
                }
                return opened[^options.Sources.Count..];
            }
            var train = Shards(Preparer.TrainFile, manifest.Train);
            var heldOut = Shards(Preparer.HeldOutFile, manifest.HeldOut);
            // Weights are no part of what is prepared: the recipe's present ones count.
            var statistics = manifest.Statistics.Select((entry, i) => entry with { Weight = options.Sources[i].Weight }).ToList();
            return new PreparedData(tokenizer, train, heldOut, statistics, fingerprint, folder);
        }
        catch
        {
            foreach (var shard in opened) shard.Dispose();
            throw;
        }
    }
}
