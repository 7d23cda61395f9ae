using Perennial.Data.Shards;
using Perennial.Data.Streams;

namespace Perennial.Data.Packing;

/// <summary>
/// Concatenate and chunk: window w is the tokens [w·T, w·T + T], so that the last token of one window is the first of the next and every token
/// but the first is a target once a pass.
/// </summary>
internal sealed class ChunkWindowing(TokenShard shard, int time, DocumentBoundary boundary, AnswerMark? answers) : IWindowing
{
    public long Windows => Math.Max(0, (shard.Tokens - 1) / time);

    public long Padding => 0;

    public void Fill(long window, Span<long> inputs, Span<long> targets, Span<int> segments, long later)
    {
        var start = window * time;
        shard.Read(start, inputs, later * time);
        inputs[1..].CopyTo(targets);
        shard.Read(start + time, targets[^1..]);
        if (!segments.IsEmpty || answers is not null || boundary == DocumentBoundary.Separate) Mark(start, targets, segments);
    }

    public IEnumerable<(long Document, long Tokens)> Parts(long window)
    {
        var (start, end) = (window * time, (window + 1) * time);
        for (var document = shard.DocumentOf(start); start < end; document++)
        {
            var until = Math.Min(end, shard.DocumentStart(document + 1));
            yield return (document, until - start);
            start = until;
        }
    }

    /// <summary>Numbers the documents of a window, and takes out targets that begin a document or are no answer.</summary>
    private void Mark(long start, Span<long> targets, Span<int> segments)
    {
        var (document, segment) = (shard.DocumentOf(start), 0);
        var answer = AnswerOf(document);
        for (var t = 0; t < time; t++)
        {
            while (start + t >= shard.DocumentStart(document + 1)) (document, segment, answer) = (document + 1, segment + 1, AnswerOf(document + 1));
            if (!segments.IsEmpty) segments[t] = segment;
            // The target is the next token: of the next document where this one ends here.
            var (target, end) = (start + t + 1, shard.DocumentStart(document + 1));
            if ((boundary == DocumentBoundary.Separate && target == end) || (answers is not null && (target < answer || target >= end - 1))) targets[t] = TokenBatch.Ignored;
        }
    }

    /// <summary>Where in its shard the answer of a document begins; 0 where everything counts.</summary>
    private long AnswerOf(long document) => answers is null || document >= shard.Documents ? 0 : shard.DocumentStart(document) + answers.Start(shard.Document(document));
}
