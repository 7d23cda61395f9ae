using System.Diagnostics;

namespace Perennial.Resilience.Groups;

/// <summary>How long one collective of one size took.</summary>
/// <param name="Operation"><c>all-reduce</c>, <c>reduce-scatter</c>, <c>all-gather</c>, <c>broadcast</c> or <c>send-receive</c>.</param>
/// <param name="Ranks">The number of ranks.</param>
/// <param name="Bytes">Bytes of the whole buffer.</param>
/// <param name="Median">Seconds, the median of the runs.</param>
/// <param name="Percentile95">Seconds that 95 % of the runs stayed below.</param>
/// <param name="Runs">The number of runs.</param>
public sealed record CollectiveTiming(string Operation, int Ranks, long Bytes, double Median, double Percentile95, int Runs)
{
    /// <summary>Bytes of the buffer a second.</summary>
    public double AlgorithmBandwidth => Bytes / Median;

    /// <summary>Bytes a second that each rank must at least send, whatever the algorithm: comparable between operations and group sizes.</summary>
    public double BusBandwidth => AlgorithmBandwidth * Operation switch
    {
        "all-reduce" => 2.0 * (Ranks - 1) / Ranks,
        "reduce-scatter" or "all-gather" => (double)(Ranks - 1) / Ranks,
        _ => 1,
    };
}

/// <summary>The model time(S) = Latency + S / Bandwidth of one operation, fitted to its timings.</summary>
/// <param name="Operation">The operation.</param>
/// <param name="Latency">Seconds.</param>
/// <param name="Bandwidth">Bytes a second.</param>
/// <param name="Error">Root mean square of the relative errors.</param>
public sealed record CollectiveCost(string Operation, double Latency, double Bandwidth, double Error)
{
    /// <summary>Seconds that a buffer of <paramref name="bytes"/> should take.</summary>
    public double Seconds(double bytes) => Latency + bytes / Bandwidth;

    /// <summary>Least squares of the relative errors, so that small sizes count as much as large ones; the latency is not negative.</summary>
    /// <exception cref="ArgumentException">Fewer than two sizes.</exception>
    public static CollectiveCost Fit(string operation, IReadOnlyList<(double Bytes, double Seconds)> points)
    {
        if (points.Select(point => point.Bytes).Distinct().Count() < 2) throw new ArgumentException("a line needs two sizes", nameof(points));
        double weight = 0, x = 0, y = 0, xx = 0, xy = 0;
        foreach (var (bytes, seconds) in points)
        {
            var w = 1 / (seconds * seconds);
            weight += w;
            x += w * bytes;
            y += w * seconds;
            xx += w * bytes * bytes;
            xy += w * bytes * seconds;
        }
        var slope = (weight * xy - x * y) / (weight * xx - x * x);
        var latency = (y - slope * x) / weight;
        if (latency < 0) (latency, slope) = (0, xy / xx);
        var error = Math.Sqrt(points.Average(point => Math.Pow((latency + slope * point.Bytes) / point.Seconds - 1, 2)));
        return new CollectiveCost(operation, latency, 1 / slope, error);
    }
}

/// <summary>What a measurement found.</summary>
/// <param name="Timings">By operation and size.</param>
/// <param name="Costs">The fitted model of each operation.</param>
/// <param name="CopyBandwidth">Bytes a second that one rank copies in memory, measured in the same run.</param>
public sealed record CollectiveReport(IReadOnlyList<CollectiveTiming> Timings, IReadOnlyList<CollectiveCost> Costs, double CopyBandwidth);

/// <summary>Measures a communicator. Every rank calls it with the same arguments and gets the figures of rank 0.</summary>
public static unsafe class CollectiveBench
{
    /// <summary>4 KiB to 64 MiB, each four times the last.</summary>
    public static IReadOnlyList<long> Sizes { get; } = [.. Enumerable.Range(0, 8).Select(i => 4096L << (2 * i))];

    /// <summary>All operations that are measured.</summary>
    public static IReadOnlyList<string> Operations { get; } = ["all-reduce", "reduce-scatter", "all-gather", "broadcast", "send-receive"];

    /// <summary>Runs each operation at each size, after one run to warm up and a barrier before each run.</summary>
    /// <param name="group">The communicator; at least two ranks.</param>
    /// <param name="sizes">Bytes of the whole buffer.</param>
    /// <param name="operations">Some of <see cref="Operations"/>.</param>
    /// <param name="runs">Runs of one size, or null for 5 to 50 by its bytes.</param>
    /// <param name="memory">Where the buffers lie; null for this process's memory.</param>
    /// <exception cref="CommunicatorException">The group broke.</exception>
    public static CollectiveReport Measure(ICommunicator group, IReadOnlyList<long> sizes, IReadOnlyList<string> operations, int? runs = null, ICollectiveMemory? memory = null)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(group.Size, 2);
        memory ??= new HostCollectiveMemory();
        var greatest = sizes.Max();
        var (source, destination) = (memory.Allocate(greatest), memory.Allocate(greatest));
        try
        {
            var timings = new List<CollectiveTiming>();
            foreach (var operation in operations)
                foreach (var bytes in sizes)
                    timings.Add(Time(group, operation, bytes, runs ?? (int)Math.Clamp((256L << 20) / bytes, 5, 50), memory, source, destination));
            var costs = timings.GroupBy(timing => timing.Operation).Where(one => one.Count() > 1)
                .Select(one => CollectiveCost.Fit(one.Key, [.. one.Select(timing => ((double)timing.Bytes, timing.Median))]));
            return new CollectiveReport(timings, [.. costs], CopyBandwidth(group, memory, source, destination, greatest));
        }
        finally
        {
            memory.Free(source);
            memory.Free(destination);
        }
    }

    private static CollectiveTiming Time(ICommunicator group, string operation, long bytes, int runs, ICollectiveMemory memory, nint source, nint destination)
    {
        var counts = new long[group.Size];
        for (var rank = 0; rank < counts.Length; rank++) counts[rank] = bytes / sizeof(float) / counts.Length;
        var seconds = new double[runs];
        for (var run = -1; run < runs; run++)
        {
            group.Barrier();
            var start = Stopwatch.GetTimestamp();
            Call(group, operation, bytes / sizeof(float), counts, source, destination);
            if (run >= 0) seconds[run] = Stopwatch.GetElapsedTime(start).TotalSeconds;
        }
        // A message is timed there and back.
        var share = operation == "send-receive" ? 0.5 : 1;
        Array.Sort(seconds);
        var figures = new[] { share * seconds[runs / 2], share * seconds[(int)Math.Ceiling(0.95 * runs) - 1] };
        Share(group, memory, figures);
        return new CollectiveTiming(operation, group.Size, bytes, figures[0], figures[1], runs);
    }

    private static void Call(ICommunicator group, string operation, long count, long[] counts, nint source, nint destination)
    {
        switch (operation)
        {
            case "all-reduce": group.AllReduce(source, count, ElementType.Float32); break;
            case "reduce-scatter": group.ReduceScatter(source, destination, counts, ElementType.Float32); break;
            case "all-gather": group.AllGather(source, destination, counts, ElementType.Float32); break;
            case "broadcast": group.Broadcast(source, count, ElementType.Float32, 0); break;
            case "send-receive":
                if (group.Rank == 1) group.Receive(destination, count, ElementType.Float32, 0);
                if (group.Rank < 2) group.Send(source, count, ElementType.Float32, 1 - group.Rank);
                if (group.Rank == 0) group.Receive(destination, count, ElementType.Float32, 1);
                break;
            default: throw new ArgumentException($"'{operation}' is none of {string.Join(", ", Operations)}", nameof(operation));
        }
    }

    // One rank copies while the others wait, so that the figure is the machine's and not a share of it.
    private static double CopyBandwidth(ICommunicator group, ICollectiveMemory memory, nint source, nint destination, long bytes)
    {
        var seconds = new double[7];
        for (var run = 0; run < seconds.Length && group.Rank == 0; run++)
        {
            var start = Stopwatch.GetTimestamp();
            memory.Copy(source, destination, bytes);
            seconds[run] = Stopwatch.GetElapsedTime(start).TotalSeconds;
        }
        Array.Sort(seconds);
        var bandwidth = new double[] { group.Rank == 0 ? bytes / seconds[seconds.Length / 2] : 0 };
        Share(group, memory, bandwidth);
        return bandwidth[0];
    }

    // The figures of rank 0 for everyone, by way of memory that the group can send from.
    private static void Share(ICommunicator group, ICollectiveMemory memory, double[] figures)
    {
        var bytes = figures.Length * sizeof(double);
        var sent = memory.Allocate(bytes);
        fixed (double* mine = figures)
        {
            memory.Copy((nint)mine, sent, bytes);
            group.Broadcast(sent, figures.Length, ElementType.Float64, 0);
            memory.Copy(sent, (nint)mine, bytes);
        }
        memory.Free(sent);
    }
}
