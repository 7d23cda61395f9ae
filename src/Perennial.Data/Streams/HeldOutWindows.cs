using Perennial.Data.Preparation;

namespace Perennial.Data.Streams;

/// <summary>
/// The held-out text as windows that score every token exactly once. A source's stream begins with end-of-text, so that its
/// first token is predicted too; end-of-text itself is no target: the measure is of the text, given where documents end.
/// </summary>
public sealed class HeldOutWindows
{
    private readonly List<TokenBatch> rows;

    /// <summary>Cuts prepared held-out shards into windows.</summary>
    /// <param name="data">Prepared data.</param>
    /// <param name="time">Tokens a window.</param>
    public HeldOutWindows(PreparedData data, int time)
    {
        ArgumentNullException.ThrowIfNull(data);
        var end = data.Tokenizer.EndOfText;
        rows = [];
        foreach (var shard in data.HeldOut.Where(shard => shard.Tokens > 0))
        {
            var stream = new long[shard.Tokens + 1];
            stream[0] = end;
            shard.Read(0, stream.AsSpan(1));
            rows.AddRange(Cut(stream, time, end));
        }
        TextBytes = data.HeldOut.Sum(shard => shard.TextBytes);
        Targets = rows.Sum(row => row.Targets.LongCount(target => target != TokenBatch.Ignored));
    }

    /// <summary>UTF-8 bytes of the text.</summary>
    public long TextBytes { get; }

    /// <summary>Tokens that are scored.</summary>
    public long Targets { get; }

    /// <summary>Number of windows.</summary>
    public int Count => rows.Count;

    /// <summary>The windows in batches of at most <paramref name="size"/> rows; the last window of a source is padded with ignored targets.</summary>
    public IEnumerable<TokenBatch> Batches(int size)
    {
        for (var first = 0; first < rows.Count; first += size)
        {
            var group = rows.GetRange(first, Math.Min(size, rows.Count - first));
            yield return new TokenBatch(group.Count, group[0].Time)
            {
                Inputs = [.. group.SelectMany(row => row.Inputs)],
                Targets = [.. group.SelectMany(row => row.Targets)],
                SampleIds = [.. group.SelectMany(row => row.SampleIds)],
            };
        }
    }

    private static IEnumerable<TokenBatch> Cut(long[] stream, int time, int end)
    {
        for (var start = 0; start + 1 < stream.Length; start += time)
        {
            var inputs = new long[time];
            var targets = new long[time];
            Array.Fill(inputs, end);
            Array.Fill(targets, TokenBatch.Ignored);
            for (var t = 0; t < time && start + t + 1 < stream.Length; t++)
            {
                inputs[t] = stream[start + t];
                targets[t] = stream[start + t + 1] == end ? TokenBatch.Ignored : stream[start + t + 1];
            }
            yield return new TokenBatch(1, time) { Inputs = inputs, Targets = targets, SampleIds = [start] };
        }
    }
}
