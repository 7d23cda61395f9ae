using System.Buffers;
using System.Diagnostics;
using System.Text.Json;
using Perennial.Core;
using Perennial.Data.Accounting;
using Perennial.Data.Preparation;
using Perennial.Data.Sources;

namespace Perennial.Data.Curation;

/// <summary>Takes one part through one segment of the pipeline: documents in, documents out, with sketches for the next corpus operator.</summary>
internal sealed class SegmentWork(CurationPlan plan, Pipeline pipeline, Segment segment, StageFiles files, HoldoutRule rule, CancellationToken cancellation)
{
    private readonly ICorpusFilter? next = segment.Number + 1 < pipeline.Segments.Count ? pipeline.Segments[segment.Number + 1].Corpus : null;

    private readonly record struct Outcome(StagedDocument Staged, int Operator, FilterResult Result, byte[]? Sketch);

    public StagePart Run(SourcePart part)
    {
        var account = new SourceAccount { Path = plan.Sources[part.Source].Path };
        new Tally(pipeline.Kinds).AddTo(account);
        var (smallest, heldOut, documents, checksum) = (1.0, 0L, 0, "");
        Optional(next is not null, files.Sketches(segment.Number, part.Number), sketches =>
        Optional(plan.KeepRemoved, files.Removed(segment.Number, part.Number), removed =>
        Optional(segment.Number == 0, files.Malformed(part.Number), malformed =>
        WorkFolder.Write(files.Documents(segment.Number, part.Number), stream =>
        {
            var writer = new DocumentFile.Writer(stream);
            foreach (var batch in segment.Number == 0 ? Source(part, account, malformed!) : Stage(part))
            {
                foreach (var outcome in Apply(part, batch, account))
                {
                    if (segment.Number == 0)
                    {
                        smallest = Math.Min(smallest, outcome.Staged.Draw);
                        if (outcome.Staged.Draw < rule.Fraction) heldOut++;
                    }
                    if (outcome.Result.Document is { } kept)
                    {
                        if (outcome.Sketch is { Length: > 0 } sketch) RecordFile.Write(sketches!, writer.Count, sketch);
                        writer.Add(outcome.Staged with { Document = kept });
                        account.KeptBytes += kept.Text.Length;
                    }
                    else if (removed is not null) WriteRemoved(removed, outcome);
                }
            }
            (documents, checksum) = (writer.Count, writer.Complete());
        }))));
        account.KeptDocuments = documents;
        return new StagePart(documents, checksum, account, smallest, heldOut);
    }

    private static void Optional(bool wanted, string path, Action<FileStream?> work)
    {
        if (wanted) WorkFolder.Write(path, work);
        else work(null);
    }

    private Outcome[] Apply(SourcePart part, IReadOnlyList<(StagedDocument Staged, byte[]? Decision)> batch, SourceAccount account)
    {
        var outcomes = new Outcome[batch.Count];
        try
        {
            Parallel.For(0, batch.Count, () => new Tally(pipeline.Kinds), (i, _, tally) =>
            {
                outcomes[i] = Apply(part.Source, batch[i].Staged, batch[i].Decision, tally);
                return tally;
            }, tally =>
            {
                lock (account) tally.AddTo(account);
            });
        }
        catch (AggregateException errors)
        {
            // One error is one line; an operator's own words are kept.
            System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(errors.InnerExceptions.FirstOrDefault(error => error is PerennialException) ?? errors.InnerExceptions[0]);
        }
        return outcomes;
    }

    private Outcome Apply(int source, StagedDocument staged, byte[]? decision, Tally tally)
    {
        if (segment.Number == 0) staged = staged with { Draw = rule.Draw(staged.Document.Text.Span) };
        var result = FilterResult.Keep(staged.Document);
        var apart = pipeline.HeldOutApart && staged.Draw < rule.Fraction;
        if (apart && segment.Number < pipeline.Segments.Count - 1) return new Outcome(staged, -1, result, null);
        if (!apart && segment.Decides is { } decides)
        {
            result = tally.Run(decides.Number, staged.Document, () => decision is null ? FilterResult.Keep(staged.Document) : segment.Corpus!.Apply(staged.Document, decision));
            if (result.Document is null) return new Outcome(staged, decides.Number, result, null);
        }
        foreach (var step in apart ? pipeline.HeldOutSteps : segment.Steps)
        {
            var filter = step.PerSource[source];
            if (!filter.AppliesToHeldOut && staged.Draw < rule.Fraction) continue;
            var document = result.Document!;
            result = tally.Run(step.Number, document, () => filter.Apply(document, staged.Index));
            if (result.Document is null) return new Outcome(staged with { Document = document }, step.Number, result, null);
        }
        byte[]? sketch = null;
        if (next is not null)
        {
            var buffer = new ArrayBufferWriter<byte>(256);
            var begun = Stopwatch.GetTimestamp();
            next.Sketch(result.Document!, buffer);
            tally.Operators[pipeline.Segments[segment.Number + 1].Decides!.Number].Seconds += Stopwatch.GetElapsedTime(begun).TotalSeconds;
            sketch = buffer.WrittenSpan.ToArray();
        }
        return new Outcome(staged, -1, result, sketch);
    }

    private IEnumerable<IReadOnlyList<(StagedDocument, byte[]?)>> Source(SourcePart part, SourceAccount account, Stream malformed)
    {
        var read = Stopwatch.GetTimestamp();
        void Refuse(MalformedRecord record)
        {
            if (plan.Sources[part.Source].Malformed == 0) throw record.ToException();
            // Only the reading thread comes here, but the account is shared with those that apply filters.
            lock (account)
            {
                account.Malformed[record.Reason] = account.Malformed.GetValueOrDefault(record.Reason) + 1;
                account.FirstMalformed ??= record.Message;
                if (record.EndsFile) account.DamagedFiles++;
            }
            JsonSerializer.Serialize(malformed, new { path = record.Path, line = record.Line, offset = record.Offset, bytes = record.Bytes, reason = record.Reason, message = record.Message });
            malformed.WriteByte((byte)'\n');
        }
        account.Files = part.Files.Count;
        account.FileBytes = part.Files.Sum(file => new FileInfo(file.Path).Length);
        foreach (var (first, batch) in DocumentBatches.Read(part.Files, plan.Sources[part.Source], Refuse, cancellation))
        {
            account.Seconds += Stopwatch.GetElapsedTime(read).TotalSeconds;
            account.Documents += batch.Count;
            account.Bytes += batch.Sum(document => (long)document.Text.Length);
            yield return [.. batch.Select((document, i) => (new StagedDocument(document, (long)part.InSource << 32 | (first + i), 0), (byte[]?)null))];
            read = Stopwatch.GetTimestamp();
        }
    }

    private IEnumerable<IReadOnlyList<(StagedDocument, byte[]?)>> Stage(SourcePart part)
    {
        using var documents = new DocumentFile(files.Documents(segment.Number - 1, part.Number));
        using var decisions = (segment.Decides is null ? [] : RecordFile.Read(files.Decisions(segment.Number, part.Number))).GetEnumerator();
        var more = decisions.MoveNext();
        var (batch, bytes, number) = (new List<(StagedDocument, byte[]?)>(), 0L, 0);
        foreach (var staged in documents.ReadAll())
        {
            cancellation.ThrowIfCancellationRequested();
            byte[]? decision = null;
            if (more && decisions.Current.Number == number)
            {
                decision = decisions.Current.Bytes.ToArray();
                more = decisions.MoveNext();
            }
            number++;
            batch.Add((staged, decision));
            bytes += staged.Document.Text.Length;
            if (batch.Count < 512 && bytes < 16 << 20) continue;
            yield return batch;
            (batch, bytes) = ([], 0);
        }
        if (batch.Count > 0) yield return batch;
    }

    private void WriteRemoved(Stream removed, Outcome outcome)
    {
        var origin = outcome.Staged.Document.Origin;
        JsonSerializer.Serialize(removed, new
        {
            text = System.Text.Encoding.UTF8.GetString(outcome.Staged.Document.Text.Span), @operator = pipeline.Kinds[outcome.Operator], reason = outcome.Result.Reason, detail = outcome.Result.Detail,
            path = origin.Path, record = origin.Record, line = origin.Line, offset = origin.Offset, bytes = origin.Bytes,
        }, DocumentJson.Relaxed);
        removed.WriteByte((byte)'\n');
    }
}
