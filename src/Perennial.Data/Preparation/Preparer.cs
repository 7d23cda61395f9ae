using System.Runtime.InteropServices;
using Perennial.Core;
using Perennial.Data.Accounting;
using Perennial.Data.Curation;
using Perennial.Data.Shards;
using Perennial.Data.Tokenizers;

namespace Perennial.Data.Preparation;

/// <summary>
/// Makes one prepared folder: curated documents, tokenizer, encoded parts, shards, manifest. Every step is a task of a
/// <see cref="WorkFolder"/>: the result does not depend on how many threads and processes share it, nor on how often they died.
/// </summary>
internal sealed class Preparer(DataOptions options, CurationPlan plan, WorkFolder work, string folder, Action<string>? notify)
{
    private readonly Curator curator = new(plan, work, notify);

    private CancellationToken Cancellation => work.Cancellation;

    public static string TrainFile(int source) => $"train-{source}.tokens";

    public static string HeldOutFile(int source) => $"heldout-{source}.tokens";

    public void Run()
    {
        var account = curator.Run();
        var tokenizer = MakeTokenizer();
        notify?.Invoke($"tokenizing {string.Join(", ", options.Sources.Select(source => source.Path))}");
        work.Complete([.. curator.Parts.Select(part => $"encode-{part.Number:D5}")], plan.Threads, i => Encode(curator.Parts[i], tokenizer));
        work.Once("finish", () => Finish(account, tokenizer));
    }

    private static void ForAll(int count, Action<int> body)
    {
        try
        {
            Parallel.For(0, count, body);
        }
        catch (AggregateException errors)
        {
            System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(errors.InnerExceptions[0]);
        }
    }

    private ITokenizer MakeTokenizer()
    {
        switch (options.Tokenizer.Kind)
        {
            case TokenizerKind.O200k: return TiktokenVocabulary.O200k();
            case TokenizerKind.Cl100k: return TiktokenVocabulary.Cl100k();
            case TokenizerKind.File: return TokenizerJson.Load(options.Tokenizer.Path!);
        }
        var home = work.File("tokenizer");
        work.Once("tokenizer", () =>
        {
            notify?.Invoke($"training a tokenizer of {options.Tokenizer.Vocabulary} entries");
            var trainer = new BpeTrainer();
            foreach (var batch in Batches(curator.Parts))
                trainer.Count([.. batch.Where(staged => staged.Draw >= curator.Rule.Fraction).Select(staged => staged.Document.Text)]);
            var trained = trainer.Train(options.Tokenizer.Vocabulary, Cancellation);
            Directory.CreateDirectory(home);
            trained.Save(home);
            return trained.Fingerprint;
        });
        return TokenizerJson.Load(home);
    }

    private IEnumerable<List<StagedDocument>> Batches(IEnumerable<SourcePart> parts)
    {
        var (batch, bytes) = (new List<StagedDocument>(), 0L);
        foreach (var part in parts)
        {
            using var documents = new DocumentFile(curator.Documents(part));
            foreach (var staged in documents.ReadAll())
            {
                Cancellation.ThrowIfCancellationRequested();
                batch.Add(staged);
                bytes += staged.Document.Text.Length;
                if (batch.Count < 512 && bytes < 16 << 20) continue;
                yield return batch;
                (batch, bytes) = ([], 0);
            }
        }
        if (batch.Count > 0) yield return batch;
    }

    private string EncodedFile(SourcePart part) => work.File($"encode-{part.Number:D5}.tokens");

    /// <summary>The documents of a part with their ids in place of their text, and the length of the text in place of the number.</summary>
    private string Encode(SourcePart part, ITokenizer tokenizer)
    {
        var checksum = "";
        WorkFolder.Write(EncodedFile(part), stream =>
        {
            var writer = new DocumentFile.Writer(stream);
            foreach (var batch in Batches([part]))
            {
                var encoded = new StagedDocument[batch.Count];
                ForAll(batch.Count, i =>
                {
                    var ids = new List<int>();
                    tokenizer.Encode(batch[i].Document.Text.Span, ids);
                    ids.Add(tokenizer.EndOfText);
                    var bytes = MemoryMarshal.AsBytes(CollectionsMarshal.AsSpan(ids)).ToArray();
                    encoded[i] = new StagedDocument(batch[i].Document with { Text = bytes }, batch[i].Document.Text.Length, batch[i].Draw);
                });
                foreach (var one in encoded) writer.Add(one);
            }
            checksum = writer.Complete();
        });
        return checksum;
    }

    private bool Finish(DataAccount account, ITokenizer tokenizer)
    {
        var partial = folder + AtomicFile.TemporarySuffix;
        // What a killed process left under this name is in nobody's hands: the task is ours.
        if (Directory.Exists(partial)) Directory.Delete(partial, recursive: true);
        Directory.CreateDirectory(partial);
        tokenizer.Save(partial);
        var shards = options.Sources.Select((_, source) => Merge(partial, source, tokenizer, account)).ToList();
        if (shards.Sum(shard => shard.Statistics.Documents) == 0)
            throw PerennialException.Usage($"data: no training document is left ({Rejections(shards.Select(shard => shard.Statistics))}); check sources, pipeline and holdout");
        AtomicFile.Write(Path.Combine(partial, "malformed.jsonl"), stream =>
        {
            foreach (var part in curator.Parts)
            {
                using var malformed = File.OpenRead(curator.Files.Malformed(part.Number));
                malformed.CopyTo(stream);
            }
        });
        account.Save(partial);
        new PreparedManifest(tokenizer.Fingerprint, [.. shards.Select(shard => shard.Train)], [.. shards.Select(shard => shard.HeldOut)], [.. shards.Select(shard => shard.Statistics)]).Save(partial);
        Directory.Move(partial, folder);
        AtomicFile.FlushFolder(Path.GetDirectoryName(folder)!);
        return true;
    }

    private static string Rejections(IEnumerable<SourceStatistics> statistics)
    {
        var reasons = statistics.SelectMany(entry => entry.Rejected).GroupBy(pair => pair.Key).Select(group => $"{group.Sum(pair => pair.Value)} × {group.Key}").ToList();
        return reasons.Count == 0 ? "the sources are empty" : string.Join(", ", reasons);
    }

    private sealed record Shards(string Train, string HeldOut, SourceStatistics Statistics);

    private Shards Merge(string partial, int source, ITokenizer tokenizer, DataAccount account)
    {
        var (train, heldOut) = (new SideCount(), new SideCount());
        var (trainChecksum, heldOutChecksum) = ("", "");
        AtomicFile.Write(Path.Combine(partial, TrainFile(source)), trainStream =>
        AtomicFile.Write(Path.Combine(partial, HeldOutFile(source)), heldOutStream =>
        {
            var trainWriter = new TokenShardWriter(trainStream, tokenizer.VocabularySize);
            var heldOutWriter = new TokenShardWriter(heldOutStream, tokenizer.VocabularySize);
            foreach (var part in curator.Parts.Where(part => part.Source == source))
            {
                using var encoded = new DocumentFile(EncodedFile(part));
                foreach (var one in encoded.ReadAll())
                {
                    Cancellation.ThrowIfCancellationRequested();
                    var held = one.Draw < curator.Rule.Fraction;
                    var ids = MemoryMarshal.Cast<byte, int>(one.Document.Text.Span);
                    (held ? heldOutWriter : trainWriter).Add(one.Document, (int)one.Index, ids);
                    (held ? heldOut : train).Add((int)one.Index, ids.Length);
                }
            }
            (trainChecksum, heldOutChecksum) = (trainWriter.Complete(), heldOutWriter.Complete());
        }));
        return new Shards(trainChecksum, heldOutChecksum, new SourceStatistics(
            options.Sources[source].Path, options.Sources[source].Weight, train.Documents, train.Bytes, train.Tokens, heldOut.Documents, heldOut.Bytes, heldOut.Tokens, account.Sources[source].Rejected()));
    }

    private sealed class SideCount
    {
        public long Documents { get; private set; }

        public long Bytes { get; private set; }

        public long Tokens { get; private set; }

        public void Add(int bytes, int tokens) => (Documents, Bytes, Tokens) = (Documents + 1, Bytes + bytes, Tokens + tokens);
    }
}
