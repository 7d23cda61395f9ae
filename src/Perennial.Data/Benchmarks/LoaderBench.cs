using System.Diagnostics;
using Perennial.Core;
using Perennial.Data.Orders;
using Perennial.Data.Shards;

namespace Perennial.Data.Benchmarks;

/// <summary>One way of reading windows.</summary>
/// <param name="Name">What was read.</param>
/// <param name="Window">Tokens a window.</param>
/// <param name="WindowsPerSecond">Windows a second on one thread.</param>
/// <param name="BytesPerSecond">Bytes of tokens read and written a second.</param>
/// <param name="CopyBytesPerSecond">The machine's copy in the same run: bytes read and written a second, from random places, a window at a time.</param>
public sealed record LoaderBenchResult(string Name, int Window, double WindowsPerSecond, double BytesPerSecond, double CopyBytesPerSecond)
{
    /// <summary>Share of the machine's copy.</summary>
    public double OfCopy => BytesPerSecond / CopyBytesPerSecond;
}

/// <summary>Random windows out of a shard of 2 GB, on one thread: the shuffled order's position, and the tokens widened to ids.</summary>
public static class LoaderBench
{
    /// <summary>Windows a second that are asked for, unless memory bounds them.</summary>
    public const double Limit = 1_000_000;

    /// <summary>Share of the machine's copy from which on memory bounds the loader.</summary>
    public const double BoundByMemory = 0.5;

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
            throw PerennialException.Failed($"{path}: the shard of {bytes >> 20} MiB cannot be written: {error.Message}; choose another place with --folder, or a smaller --bytes", error);
        }
    }

    private static LoaderBenchResult Read(TokenShard shard, int window, double seconds)
    {
        var order = new ShuffledOrder(new OrderContext(1, 0, (shard.Tokens - 1) / window, _ => []));
        var tokens = new long[window + 1];
        var windows = Repeat(seconds, position => shard.Read(order.Window(position / shard.Tokens, position) * window, tokens));
        // The same places and sizes without any of our work: 2 bytes read and 8 written a token.
        var (source, target) = (new byte[1 << 30], new byte[window * 8]);
        var copies = Repeat(seconds, position => source.AsSpan((int)((ulong)position * 0x9E3779B97F4A7C15UL % (ulong)(source.Length - target.Length)), window * 8).CopyTo(target));
        return new LoaderBenchResult("random windows, uint16 to int64", window, windows, windows * window * 10, copies * window * 16);
    }

    private static double Repeat(double seconds, Action<long> body)
    {
        for (var position = 0L; position < 1000; position++) body(position);
        var (clock, done) = (Stopwatch.GetTimestamp(), 0L);
        while (Stopwatch.GetElapsedTime(clock).TotalSeconds < seconds)
        {
            for (var i = 0; i < 1000; i++) body(1000 + done++);
        }
        return done / Stopwatch.GetElapsedTime(clock).TotalSeconds;
    }
}
