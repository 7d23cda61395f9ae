using System.Runtime.InteropServices;
using Perennial.Core;
using Perennial.Data.Shards;
using Perennial.Data.Sources;
using Perennial.Data.Tokenizers;

namespace Perennial.Data.Preparation;

/// <summary>Makes one prepared folder: survey, tokenizer, shards, manifest. The result does not depend on the number of threads.</summary>
internal sealed class Preparer(DataOptions options, ulong seed, string folder, Action<string>? notify, CancellationToken cancellation)
{
    private readonly List<FilterChain> chains = [.. options.Sources.Select(_ => new FilterChain(options.Pipeline, seed))];

    public static string TrainFile(int source) => $"train-{source}.tokens";

    public static string HeldOutFile(int source) => $"heldout-{source}.tokens";

    public void Run()
    {
        var rule = Survey();
        var tokenizer = MakeTokenizer(rule);
        tokenizer.Save(folder);
        var shards = options.Sources.Select((source, i) => Encode(i, source, tokenizer, rule)).ToList();
        if (shards.Sum(shard => shard.Statistics.Documents) == 0)
            throw PerennialException.Usage($"data: no training document is left ({Rejections(shards.Select(shard => shard.Statistics))}); check sources, pipeline and holdout");
        new PreparedManifest(tokenizer.Fingerprint, [.. shards.Select(shard => shard.Train)], [.. shards.Select(shard => shard.HeldOut)], [.. shards.Select(shard => shard.Statistics)]).Save(folder);
    }

    private static void ForAll(int count, Action<int> body)
    {
        try
        {
            Parallel.For(0, count, body);
        }
        catch (AggregateException errors)
        {
            // One error is one line; a filter's own words are kept.
            System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(errors.InnerExceptions.FirstOrDefault(error => error is PerennialException) ?? errors.InnerExceptions[0]);
        }
    }

    private static string Rejections(IEnumerable<SourceStatistics> statistics)
    {
        var reasons = statistics.SelectMany(entry => entry.Rejected).GroupBy(pair => pair.Key).Select(group => $"{group.Sum(pair => pair.Value)} × {group.Key}").ToList();
        return reasons.Count == 0 ? "the sources are empty" : string.Join(", ", reasons);
    }

    /// <summary>One pass that lets filters learn and makes sure that neither side of the split is empty.</summary>
    private HoldoutRule Survey()
    {
        var rule = new HoldoutRule(options.Holdout, options.SplitSeed);
        var (documents, heldOut, smallest) = (0L, 0L, 1.0);
        for (var i = 0; i < options.Sources.Count; i++)
        {
            foreach (var (first, batch) in DocumentBatches.Read(options.Sources[i], cancellation))
            {
                var draws = new double[batch.Count];
                ForAll(batch.Count, j => draws[j] = rule.Draw(batch[j].Text.Span));
                for (var j = 0; j < batch.Count; j++)
                {
                    smallest = Math.Min(smallest, draws[j]);
                    if (draws[j] < rule.Fraction) heldOut++;
                    else if (chains[i].Learns) chains[i].Learn(batch[j], first + j);
                }
                documents += batch.Count;
            }
        }
        if (documents == 0) throw PerennialException.Usage($"data: the sources hold no text ({string.Join(", ", options.Sources.Select(source => source.Path))})");
        if (options.Holdout == 0) return rule;
        // A small corpus may have drawn nothing: then the document that drew lowest (and its copies) is held out.
        if (heldOut == 0 && documents > 1) (rule, heldOut) = (rule with { Fraction = Math.BitIncrement(smallest) }, 1);
        if (heldOut == 0 || heldOut == documents)
            throw PerennialException.Usage($"data: {documents} {(documents == 1 ? "document" : "documents")} cannot be split into training and held-out text; set data.holdout to 0, or split finer (split: paragraph)");
        return rule;
    }

    private ITokenizer MakeTokenizer(HoldoutRule rule)
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
            var chain = chains[i];
            foreach (var (first, batch) in DocumentBatches.Read(options.Sources[i], cancellation))
            {
                var texts = new ReadOnlyMemory<byte>[batch.Count];
                ForAll(batch.Count, j =>
                {
                    if (!rule.HoldsOut(batch[j].Text.Span) && chain.Apply(batch[j], first + j, heldOut: false).Document is { } kept) texts[j] = kept.Text;
                });
                trainer.Count(texts);
            }
        }
        return trainer.Train(options.Tokenizer.Vocabulary, cancellation);
    }

    private sealed record Shards(string Train, string HeldOut, SourceStatistics Statistics);

    private readonly record struct Encoded(FilterResult Result, bool HeldOut, List<int> Ids);

    private Shards Encode(int number, SourceOptions source, ITokenizer tokenizer, HoldoutRule rule)
    {
        notify?.Invoke($"tokenizing {source.Path}");
        var rejected = new SortedDictionary<string, long>(StringComparer.Ordinal);
        var (train, heldOut) = (new SideCount(), new SideCount());
        var (trainChecksum, heldOutChecksum) = ("", "");
        AtomicFile.Write(Path.Combine(folder, TrainFile(number)), trainStream =>
        AtomicFile.Write(Path.Combine(folder, HeldOutFile(number)), heldOutStream =>
        {
            var trainWriter = new TokenShardWriter(trainStream, tokenizer.VocabularySize);
            var heldOutWriter = new TokenShardWriter(heldOutStream, tokenizer.VocabularySize);
            foreach (var (first, batch) in DocumentBatches.Read(source, cancellation))
            {
                var encoded = new Encoded[batch.Count];
                ForAll(batch.Count, j => encoded[j] = Encode(batch[j], first + j, chains[number], tokenizer, rule));
                foreach (var one in encoded)
                {
                    if (one.Result.Document is { } document)
                    {
                        (one.HeldOut ? heldOutWriter : trainWriter).Add(document, CollectionsMarshal.AsSpan(one.Ids));
                        (one.HeldOut ? heldOut : train).Add(document.Text.Length, one.Ids.Count);
                    }
                    else
                        rejected[one.Result.Reason!] = rejected.GetValueOrDefault(one.Result.Reason!) + 1;
                }
            }
            (trainChecksum, heldOutChecksum) = (trainWriter.Complete(), heldOutWriter.Complete());
        }));
        return new Shards(trainChecksum, heldOutChecksum, new SourceStatistics(
            source.Path, source.Weight, train.Documents, train.Bytes, train.Tokens, heldOut.Documents, heldOut.Bytes, heldOut.Tokens, rejected));
    }

    private static Encoded Encode(Document document, long index, FilterChain chain, ITokenizer tokenizer, HoldoutRule rule)
    {
        // The split looks at the text as it was read: a filter that changes it must not move a document across.
        var heldOut = rule.HoldsOut(document.Text.Span);
        var result = chain.Apply(document, index, heldOut);
        var ids = new List<int>();
        if (result.Document is { } kept)
        {
            tokenizer.Encode(kept.Text.Span, ids);
            ids.Add(tokenizer.EndOfText);
        }
        return new Encoded(result, heldOut, ids);
    }

    private sealed class SideCount
    {
        public long Documents { get; private set; }

        public long Bytes { get; private set; }

        public long Tokens { get; private set; }

        public void Add(int bytes, int tokens) => (Documents, Bytes, Tokens) = (Documents + 1, Bytes + bytes, Tokens + tokens);
    }
}
