using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;

namespace Perennial.Resilience.Coding;

/// <summary>What <see cref="ParityBench"/> measures.</summary>
public sealed record ParityBenchOptions
{
    /// <summary>Bytes of one chunk; far above the caches, so that memory is measured.</summary>
    public long ChunkBytes { get; init; } = 64L << 20;

    /// <summary>Rounds; every round times every line once, so that all lines see the same disturbances.</summary>
    public int Rounds { get; init; } = 7;

    /// <summary>Thread counts to try.</summary>
    public IReadOnlyList<int> Threads { get; init; } = [1, Environment.ProcessorCount];

    /// <summary>Codes (k, m) to try.</summary>
    public IReadOnlyList<(int Data, int Parity)> Codes { get; init; } = [(3, 1), (4, 1), (7, 1), (4, 2), (6, 2)];
}

/// <summary>One line of the measurement; medians over the rounds.</summary>
/// <param name="Name">What ran, such as <c>xor 4+1 shuffle-256</c>.</param>
/// <param name="Threads">On how many threads.</param>
/// <param name="DataBytesPerSecond">Bytes of data protected (or copied, or rebuilt) a second.</param>
/// <param name="MovedBytesPerSecond">Bytes read plus bytes written a second.</param>
/// <param name="OfCopy">Moved bytes against those of memcpy on as many threads: the share of the machine's copy speed.</param>
public sealed record ParityBenchLine(string Name, int Threads, double DataBytesPerSecond, double MovedBytesPerSecond, double OfCopy)
{
    /// <summary>The line as text.</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture,
        $"{Name,-28} {Threads,2} threads  {DataBytesPerSecond / 1e9,6:F2} GB/s data  {MovedBytesPerSecond / 1e9,6:F2} GB/s moved  {OfCopy,6:P0} of memcpy");
}

/// <summary>Parity against memcpy, side by side in one run.</summary>
public static class ParityBench
{
    /// <summary>Measures. Takes about a second for each round and thread count at the default size.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A size or count below 1.</exception>
    public static IReadOnlyList<ParityBenchLine> Run(ParityBenchOptions? options = null)
    {
        options ??= new();
        ArgumentOutOfRangeException.ThrowIfLessThan(options.ChunkBytes, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(options.Rounds, 1);
        var most = Math.Max(2, options.Codes.Max(code => code.Data + code.Parity));
        var chunks = Allocate(most, options.ChunkBytes);
        try
        {
            return [.. options.Threads.Distinct().SelectMany(threads => Measure(options, chunks, threads))];
        }
        finally
        {
            Free(chunks);
        }
    }

    private static IEnumerable<ParityBenchLine> Measure(ParityBenchOptions options, nint[] chunks, int threads)
    {
        var bytes = options.ChunkBytes;
        var lines = new List<(string Name, double Data, double Moved, Action Action)>
        {
            ("memcpy", bytes, 2.0 * bytes, () => ChunkRanges.Run(bytes, threads, (start, end) => Copy(chunks[0] + (nint)start, chunks[1] + (nint)start, end - start))),
        };
        foreach (var (data, parity) in options.Codes)
        {
            var code = ErasureCode.Create(data, parity);
            var moved = (double)(data + parity) * bytes;
            var name = $"{(parity == 1 ? "xor" : "reed-solomon")} {data}+{parity} {CodeKernels.Best.Name}";
            lines.Add((name, (double)data * bytes, moved, () => code.Encode(chunks.AsSpan(0, data), chunks.AsSpan(data, parity), bytes, threads)));
            if (parity == 1) continue;
            var lost = Enumerable.Range(0, parity).ToArray();
            lines.Add(($"rebuild {parity} of {data}+{parity}", (double)parity * bytes, moved, () => code.Decode(chunks.AsSpan(0, data + parity), lost, bytes, threads)));
        }
        var times = lines.Select(_ => new List<double>()).ToArray();
        for (var round = -1; round < options.Rounds; round++)
            for (var line = 0; line < lines.Count; line++)
            {
                var start = Stopwatch.GetTimestamp();
                lines[line].Action();
                // The first round warms caches, pages and the compiler.
                if (round >= 0) times[line].Add(Stopwatch.GetElapsedTime(start).TotalSeconds);
            }
        var copy = lines[0].Moved / Median(times[0]);
        return lines.Select((line, index) => new ParityBenchLine(line.Name, threads, line.Data / Median(times[index]), line.Moved / Median(times[index]), line.Moved / Median(times[index]) / copy));
    }

    private static double Median(List<double> values)
    {
        var sorted = values.Order().ToList();
        return sorted[sorted.Count / 2];
    }

    private static unsafe void Copy(nint from, nint to, long bytes) => Buffer.MemoryCopy((void*)from, (void*)to, bytes, bytes);

    private static unsafe nint[] Allocate(int count, long bytes)
    {
        var chunks = new nint[count];
        for (var chunk = 0; chunk < count; chunk++)
        {
            chunks[chunk] = (nint)NativeMemory.AlignedAlloc((nuint)bytes, 4096);
            for (var at = 0L; at < bytes; at += 1 << 20)
                new Span<byte>((byte*)chunks[chunk] + at, (int)Math.Min(1 << 20, bytes - at)).Fill((byte)(chunk * 37 + 11));
        }
        return chunks;
    }

    private static unsafe void Free(nint[] chunks)
    {
        foreach (var chunk in chunks) NativeMemory.AlignedFree((void*)chunk);
    }
}
