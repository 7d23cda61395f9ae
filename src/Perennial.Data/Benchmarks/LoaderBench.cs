using System.Diagnostics;
using Perennial.Core;
using Perennial.Data.Orders;
using Perennial.Data.Packing;
using Perennial.Data.Shards;

namespace Perennial.Data.Benchmarks;

/// <summary>Windows of one length, read at random places.</summary>
/// <param name="Window">Tokens a window.</param>
/// <param name="WindowsPerSecond">Windows a second on one thread: their places in the shuffled order, and their tokens widened to ids.</param>
/// <param name="CopiesPerSecond">The machine's own limit in the same run: the same number of stored bytes copied from places of the same shard that are known beforehand and equally far apart, fetched as far ahead.</param>
/// <param name="BatchSeconds">Seconds for a batch of 32 windows as training reads it: ids, targets and identities in memory of their own.</param>
public sealed record LoaderBenchResult(int Window, double WindowsPerSecond, double CopiesPerSecond, double BatchSeconds)
{
    /// <summary>Windows of the batch that <see cref="BatchSeconds"/> is about.</summary>
    public const int BatchRows = 32;

    /// <summary>Stored bytes read a second.</summary>
    public double BytesPerSecond => WindowsPerSecond * Window * sizeof(ushort);

    /// <summary>Share of the machine's own limit.</summary>
    public double OfCopy => WindowsPerSecond / CopiesPerSecond;

    /// <summary>Whether there are enough windows a second, or memory allows no more.</summary>
    public bool Holds => WindowsPerSecond >= LoaderBench.Limit || OfCopy >= LoaderBench.BoundByMemory;
}

/// <summary>Random windows out of a shard of 2 GB, on one thread, as training reads them: the shuffled order's positions a batch at a time, tokens fetched ahead.</summary>
public static class LoaderBench
{
    /// <summary>Windows a second that are asked for, unless memory bounds them.</summary>
    public const double Limit = 1_000_000;

    /// <summary>Share of the machine's copy of such pieces from which on memory bounds the loader.</summary>
    public const double BoundByMemory = 0.8;

    private const int Rows = 64, Slices = 15;

    private const double WarmUpSeconds = 2;

    /// <summary>Writes a shard of random tokens, reads from it, and removes it.</summary>
    /// <param name="folder">Where the shard goes.</param>
    /// <param name="shardBytes">Its size.</param>
    /// <param name="windows">Tokens a window, one result each.</param>
    /// <param name="seconds">How long each is read.</param>
    /// <param name="cancellation">Stops between results.</param>
    /// <exception cref="PerennialException">Exit 1: no room.</exception>
    public static IEnumerable<LoaderBenchResult> Run(string folder, long shardBytes, IReadOnlyList<int> windows, double seconds, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(windows);
        var path = Path.Combine(folder, $"loader-{Guid.NewGuid():n}.tokens");
        try
        {
            Write(path, shardBytes);
            using var shard = TokenShard.Open(path);
            // Training reads for hours: the runtime has compiled the loader's methods again by then, and the shard has gone to disk. Neither is measured.
            if (windows.Count > 0) Read(shard, windows[0], Math.Max(seconds, WarmUpSeconds));
            foreach (var window in windows)
            {
                cancellation.ThrowIfCancellationRequested();
                yield return Read(shard, window, seconds);
            }
        }
        finally
        {
            File.Delete(path);
        }
    }

    /// <summary>Seconds that a batch takes: for its share of a training step.</summary>
    /// <param name="folder">Where a shard is written and removed again.</param>
    /// <param name="shardBytes">Its size.</param>
    /// <param name="rows">Windows of the batch.</param>
    /// <param name="time">Tokens of a window.</param>
    /// <exception cref="PerennialException">Exit 1: no room.</exception>
    public static double BatchSeconds(string folder, long shardBytes, int rows, int time)
    {
        var path = Path.Combine(folder, $"loader-{Guid.NewGuid():n}.tokens");
        try
        {
            Write(path, shardBytes);
            using var shard = TokenShard.Open(path);
            return Batch(shard, rows, time, 0.2);
        }
        finally
        {
            File.Delete(path);
        }
    }

    private static void Write(string path, long bytes)
    {
        try
        {
            AtomicFile.Write(path, stream =>
            {
                var writer = new TokenShardWriter(stream, 65536);
                var ids = new int[1 << 20];
                for (var document = 0L; document < bytes / 2 / ids.Length; document++)
                {
                    for (var i = 0; i < ids.Length; i++) ids[i] = (ushort)(i * 40503 + document * 2654435761);
                    writer.Add(new Document(ReadOnlyMemory<byte>.Empty, new Provenance("bench", document, 1)), ids);
                }
                writer.Complete();
            });
        }
        catch (IOException error)
        {
            throw PerennialException.Failed($"{path}: the shard of {bytes >> 20} MiB cannot be written: {error.Message}; choose another place with --folder, or a smaller --size", error);
        }
    }

    private static LoaderBenchResult Read(TokenShard shard, int window, double seconds)
    {
        ISampleOrder order = new ShuffledOrder(new OrderContext(1, 0, (shard.Tokens - 1) / window, _ => []));
        var (places, tokens, ahead) = (new long[Rows], new long[window], TokenShard.Ahead(window));
        var all = (shard.Tokens - 1) / window - Rows;
        void Load(long number)
        {
            order.Windows(0, number * Rows % all, places);
            for (var i = 0; i < ahead; i++) shard.Fetch(places[i] * window, window);
            for (var i = 0; i < Rows; i++) shard.Read(places[i] * window, tokens, places[Math.Min(Rows - 1, i + ahead)] * window);
        }
        var known = new long[1 << 20];
        for (var i = 0; i < known.Length; i++) known[i] = (long)(Philox.Bits(2, RandomPurpose.SampleOrder, 0, (ulong)i) % (ulong)all);
        var bytes = new byte[window * sizeof(ushort)];
        void Copy(long number)
        {
            var first = (int)(number * Rows % (known.Length - Rows));
            for (var i = 0; i < ahead; i++) shard.Fetch(known[first + i] * window, window);
            for (var i = 0; i < Rows; i++)
            {
                if (i + ahead < Rows) shard.Fetch(known[first + i + ahead] * window, window);
                shard.Copy(known[first + i] * window, bytes);
            }
        }
        // In alternation, a slice of each: what else the machine does slows both alike. Medians count.
        var (loads, copies) = (new List<double>(), new List<double>());
        for (var slice = 0; slice < Slices; slice++)
        {
            loads.Add(Repeat(shard, seconds / Slices, slice, Load));
            copies.Add(Repeat(shard, seconds / Slices, slice, Copy));
        }
        return new LoaderBenchResult(window, Median(loads), Median(copies), Batch(shard, LoaderBenchResult.BatchRows, window, seconds));
    }

    private static double Median(List<double> values) => values.Order().ElementAt(values.Count / 2);

    private static double Batch(TokenShard shard, int rows, int time, double seconds)
    {
        var windowing = new ChunkWindowing(shard, time, DocumentBoundary.Crossing, null);
        ISampleOrder order = new ShuffledOrder(new OrderContext(1, 0, windowing.Windows, _ => []));
        void Read(long number)
        {
            var ids = new long[rows];
            order.Windows(0, number * rows % (windowing.Windows - rows), ids);
            var batch = new TokenBatch(rows, time) { Inputs = GC.AllocateUninitializedArray<long>(rows * time), Targets = GC.AllocateUninitializedArray<long>(rows * time), SampleIds = ids };
            for (var row = 0; row < rows; row++) windowing.Fill(ids[row], batch.Inputs.AsSpan(row * time, time), batch.Targets.AsSpan(row * time, time), [], ids[Math.Min(rows - 1, row + TokenShard.Ahead(time))]);
        }
        return Rows / Median([.. Enumerable.Range(0, Slices).Select(slice => Repeat(shard, seconds / Slices, slice, Read))]);
    }

    /// <summary>Windows a second, where a call of <paramref name="body"/> is <see cref="Rows"/> of them. No slice reads what another has read.</summary>
    private static double Repeat(TokenShard shard, double seconds, int slice, Action<long> body)
    {
        // Memory is measured, not the disk: systems that page out what was not used for seconds have done so.
        shard.Touch();
        var number = slice * 1_000_003L;
        for (var i = 0; i < 20; i++) body(number++);
        var (clock, first) = (Stopwatch.GetTimestamp(), number);
        while (Stopwatch.GetElapsedTime(clock).TotalSeconds < seconds)
        {
            for (var i = 0; i < 16; i++) body(number++);
        }
        return (number - first) * Rows / Stopwatch.GetElapsedTime(clock).TotalSeconds;
    }
}
