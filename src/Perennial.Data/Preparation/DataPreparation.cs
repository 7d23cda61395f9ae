using System.Text.Json;
using Perennial.Core;
using Perennial.Data.Shards;
using Perennial.Data.Sources;
using Perennial.Data.Tokenizers;

namespace Perennial.Data.Preparation;

/// <summary>
/// From sources to token shards, once: results lie in a cache folder named by content hash and are reused. A folder
/// appears whole (its <c>prepared.json</c> is written last) or is made again.
/// </summary>
public static class DataPreparation
{
    private const int BatchDocuments = 512;
    private const string Marker = "prepared.json";

    /// <summary>The folder used when a recipe names none: <c>$XDG_CACHE_HOME/perennial/data</c>, or the system's local application data.</summary>
    public static string DefaultCache =>
        Path.Combine(Environment.GetEnvironmentVariable("XDG_CACHE_HOME") is { Length: > 0 } xdg ? xdg
            : OperatingSystem.IsWindows() ? Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData)
            : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache"), "perennial", "data");

    /// <summary>Prepares data, or opens what is prepared already.</summary>
    /// <param name="options">The recipe's data.</param>
    /// <param name="seed">Key of the held-out split and of filters' draws.</param>
    /// <param name="notify">Takes progress lines; may be null.</param>
    /// <param name="cancellation">Stops between batches of documents; nothing half-written stays.</param>
    /// <exception cref="PerennialException">Exit 2 for bad or empty sources, 3 for damaged ones.</exception>
    public static PreparedData Prepare(DataOptions options, ulong seed, Action<string>? notify = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        var fingerprint = SourceFingerprint.Of(options, seed);
        var cache = options.Cache ?? DefaultCache;
        var folder = Path.Combine(cache, fingerprint);
        try
        {
            Directory.CreateDirectory(cache);
            if (File.Exists(Path.Combine(folder, Marker))) return Open(options, fingerprint, folder);
            using var turn = Lock(Path.Combine(cache, fingerprint + ".lock"), notify, cancellation);
            if (!File.Exists(Path.Combine(folder, Marker)))
            {
                if (Directory.Exists(folder)) Directory.Delete(folder, recursive: true);
                Directory.CreateDirectory(folder);
                new Preparer(options, seed, folder, notify, cancellation).Run();
            }
        }
        catch (Exception error) when (error is UnauthorizedAccessException or IOException)
        {
            throw PerennialException.Failed($"{folder}: prepared data cannot be written: {error.Message}; set data.cache to a writable folder with room", error);
        }
        return Open(options, fingerprint, folder);
    }

    private static PreparedData Open(DataOptions options, string fingerprint, string folder)
    {
        List<SourceStatistics> statistics;
        try
        {
            statistics = JsonSerializer.Deserialize<List<SourceStatistics>>(File.ReadAllBytes(Path.Combine(folder, Marker)))!;
        }
        catch (JsonException error)
        {
            throw PerennialException.Damaged($"{Path.Combine(folder, Marker)}: is damaged; delete the folder to prepare it again", error);
        }
        var shards = new List<TokenShard>();
        try
        {
            for (var i = 0; i < options.Sources.Count; i++)
            {
                shards.Add(TokenShard.Open(Path.Combine(folder, $"train-{i}.tokens")));
                shards.Add(TokenShard.Open(Path.Combine(folder, $"heldout-{i}.tokens")));
            }
            var weighted = statistics.Select((entry, i) => entry with { Weight = options.Sources[i].Weight }).ToList();
            return new PreparedData(TokenizerJson.Load(folder), [.. shards.Where((_, i) => i % 2 == 0)], [.. shards.Where((_, i) => i % 2 == 1)], weighted, fingerprint, folder);
        }
        catch
        {
            foreach (var shard in shards) shard.Dispose();
            throw;
        }
    }

    private static FileStream Lock(string path, Action<string>? notify, CancellationToken cancellation)
    {
        for (var waited = false; ; waited = true)
        {
            try
            {
                return new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, 1, FileOptions.DeleteOnClose);
            }
            catch (IOException) when (File.Exists(path))
            {
                if (!waited) notify?.Invoke("another process is preparing the same data; waiting for it");
                cancellation.WaitHandle.WaitOne(200);
                cancellation.ThrowIfCancellationRequested();
            }
        }
    }

    private sealed class Preparer(DataOptions options, ulong seed, string folder, Action<string>? notify, CancellationToken cancellation)
    {
        private readonly HoldoutRule rule = new(options.Holdout, seed);
        private HoldoutRule applied = new(options.Holdout, seed);

        public void Run()
        {
            var pipelines = options.Sources.Select(_ => options.Pipeline.Select(spec => spec.Create(new FilterContext(seed))).ToList()).ToList();
            Survey(pipelines);
            var tokenizer = MakeTokenizer(pipelines);
            tokenizer.Save(folder);
            var statistics = options.Sources.Select((source, i) => Encode(i, source, pipelines[i], tokenizer)).ToList();
            if (statistics.Sum(entry => entry.Documents) == 0)
                throw PerennialException.Usage($"data: no training document is left ({Rejections(statistics)}); check sources, pipeline and holdout");
            AtomicFile.WriteText(Path.Combine(folder, Marker), JsonSerializer.Serialize(statistics));
        }

        private static string Rejections(IEnumerable<SourceStatistics> statistics)
        {
            var reasons = statistics.SelectMany(entry => entry.Rejected).GroupBy(pair => pair.Key).Select(group => $"{group.Sum(pair => pair.Value)} {group.Key}").ToList();
            return reasons.Count == 0 ? "the sources are empty" : string.Join(", ", reasons);
        }

        /// <summary>One pass that lets filters learn and makes sure that a wanted held-out part is not empty.</summary>
        private void Survey(List<List<IFilter>> pipelines)
        {
            var (documents, smallest, heldOut) = (0L, 1.0, 0L);
            for (var i = 0; i < options.Sources.Count; i++)
            {
                var learners = pipelines[i].Where(filter => filter.Learns).ToList();
                var index = 0L;
                foreach (var batch in Batches(options.Sources[i]))
                {
                    foreach (var document in batch)
                    {
                        var draw = rule.Draw(document.Text.Span);
                        smallest = Math.Min(smallest, draw);
                        documents++;
                        if (draw < options.Holdout) heldOut++;
                        else foreach (var learner in learners) learner.Learn(document, index);
                        index++;
                    }
                }
            }
            if (documents == 0) throw PerennialException.Usage($"data: the sources hold no text ({string.Join(", ", options.Sources.Select(source => source.Path))})");
            if (options.Holdout > 0 && heldOut == 0 && documents > 1) applied = rule with { Fraction = Math.BitIncrement(smallest) };
            if (options.Holdout > 0 && (documents == 1 || heldOut == documents))
                throw PerennialException.Usage($"data: {documents} document(s) cannot be split into training and held-out text; set data.holdout to 0, or split finer (split: paragraph)");
        }

        private ITokenizer MakeTokenizer(List<List<IFilter>> pipelines)
        {
            switch (options.Tokenizer.Kind)
            {
                case TokenizerKind.O200k: return TiktokenVocabulary.O200k();
                case TokenizerKind.Cl100k: return TiktokenVocabulary.Cl100k();
                case TokenizerKind.File: return TokenizerJson.Load(options.Tokenizer.Path!);
            }
            notify?.Invoke($"training a tokenizer of {options.Tokenizer.Vocabulary} entries");
            var trainer = new BpeTrainer();
            for (var i = 0; i < options.Sources.Count; i++)
            {
                var index = 0L;
                foreach (var batch in Batches(options.Sources[i]))
                {
                    var first = index;
                    index += batch.Count;
                    var pipeline = pipelines[i];
                    trainer.Count([.. batch.Select((document, j) => applied.HoldsOut(document.Text.Span) ? null : Filter(pipeline, document, first + j, heldOut: false).Document)
                        .Where(document => document is not null).Select(document => document!.Text)]);
                }
            }
            return trainer.Train(options.Tokenizer.Vocabulary);
        }

        private SourceStatistics Encode(int number, SourceOptions source, List<IFilter> pipeline, ITokenizer tokenizer)
        {
            notify?.Invoke($"tokenizing {source.Path}");
            var rejected = new SortedDictionary<string, long>(StringComparer.Ordinal);
            var counts = new long[2, 3];
            AtomicFile.Write(Path.Combine(folder, $"train-{number}.tokens"), trainStream =>
            AtomicFile.Write(Path.Combine(folder, $"heldout-{number}.tokens"), heldOutStream =>
            {
                TokenShardWriter[] writers = [new(trainStream, tokenizer.VocabularySize), new(heldOutStream, tokenizer.VocabularySize)];
                foreach (var writer in writers) writer.Begin();
                var index = 0L;
                foreach (var batch in Batches(source))
                {
                    var first = index;
                    index += batch.Count;
                    var encoded = new (FilterResult Result, int Side, List<int> Ids)[batch.Count];
                    Parallel.For(0, batch.Count, j =>
                    {
                        var heldOut = applied.HoldsOut(batch[j].Text.Span);
                        var result = Filter(pipeline, batch[j], first + j, heldOut);
                        var ids = new List<int>();
                        if (result.Document is { } kept)
                        {
                            tokenizer.Encode(kept.Text.Span, ids);
                            ids.Add(tokenizer.EndOfText);
                        }
                        encoded[j] = (result, heldOut ? 1 : 0, ids);
                    });
                    foreach (var (result, side, ids) in encoded)
                    {
                        if (result.Document is not { } document)
                        {
                            rejected[result.Reason!] = rejected.GetValueOrDefault(result.Reason!) + 1;
                            continue;
                        }
                        writers[side].Add(document, System.Runtime.InteropServices.CollectionsMarshal.AsSpan(ids));
                        counts[side, 0]++;
                        counts[side, 1] += document.Text.Length;
                        counts[side, 2] += ids.Count;
                    }
                }
                foreach (var writer in writers) writer.Complete();
            }));
            return new SourceStatistics(source.Path, source.Weight, counts[0, 0], counts[0, 1], counts[0, 2], counts[1, 0], counts[1, 1], counts[1, 2], rejected);
        }

        private static FilterResult Filter(List<IFilter> pipeline, Document document, long index, bool heldOut)
        {
            var result = FilterResult.Keep(document);
            foreach (var filter in pipeline)
            {
                if (heldOut && !filter.AppliesToHeldOut) continue;
                result = filter.Apply(result.Document!, index);
                if (result.Document is null) return result;
            }
            return result;
        }

        private IEnumerable<IReadOnlyList<Document>> Batches(SourceOptions source)
        {
            var batch = new List<Document>(BatchDocuments);
            foreach (var document in DocumentSource.Read(source, cancellation).ToBlockingEnumerable(cancellation))
            {
                batch.Add(document);
                if (batch.Count < BatchDocuments) continue;
                yield return batch;
                batch = new List<Document>(BatchDocuments);
            }
            if (batch.Count > 0) yield return batch;
        }
    }
}

/// <summary>What a filter's constructor may ask for beside its options.</summary>
/// <param name="Seed">The run's seed, for draws keyed by document.</param>
public sealed record FilterContext(ulong Seed);
