using System.Diagnostics;
using Perennial.Core;
using static TorchSharp.torch;

namespace Perennial.Tensors;

/// <summary>
/// Measures what this machine can do: matrix products, copies, the disk. Every figure is the median of warmed repetitions; the ceiling
/// is the best of several shapes, because which shape is fastest depends on the processor.
/// </summary>
public static class MachineProbe
{
    private static readonly (int Rows, int Inner, int Columns)[] QuickShapes = [(512, 512, 512), (1024, 1024, 1024), (2048, 256, 1024)];

    private static readonly (int Rows, int Inner, int Columns)[] ThoroughShapes =
        [(512, 512, 512), (1024, 1024, 1024), (2048, 2048, 2048), (2048, 256, 1024), (2048, 512, 2048), (2048, 768, 3072), (256, 768, 3072)];

    /// <summary>Measures everything, on libtorch's present number of threads.</summary>
    /// <exception cref="PerennialException">The folder cannot be written (exit 1).</exception>
    public static MachineMeasures Measure(MachineProbeOptions? options = null)
    {
        options ??= new MachineProbeOptions();
        return new MachineMeasures(
            Products(ScalarType.Float32, options.Quick),
            Products(ScalarType.BFloat16, options.Quick),
            CopySpeed(options.Quick),
            options.Folder is null ? null : DiskSpeed(options.Folder, options.Quick ? 64L << 20 : 512L << 20),
            GC.GetGCMemoryInfo().TotalAvailableMemoryBytes,
            AvailableMemory(),
            Environment.ProcessorCount,
            get_num_threads());
    }

    /// <summary>The ceiling of one precision alone, in FLOP/s: what utilization (MFU) is measured against.</summary>
    public static double ProductCeiling(Precision precision, bool quick = true) =>
        Products(precision == Precision.Bfloat16 ? ScalarType.BFloat16 : ScalarType.Float32, quick).Max(product => product.FlopsPerSecond);

    /// <summary>Speed of x·wᵀ, as a linear layer computes it, by shape.</summary>
    /// <param name="type">Element type.</param>
    /// <param name="quick">Fewer and smaller shapes, shorter repetition.</param>
    public static IReadOnlyList<ProductSpeed> Products(ScalarType type, bool quick)
    {
        using var noGradient = no_grad();
        var speeds = new List<ProductSpeed>();
        using (var scope = NewDisposeScope())
        {
            var square = randn(256, 256).to_type(type);
            nn.functional.linear(square, square).Dispose(); // the engine's own start is no product's time
        }
        foreach (var (rows, inner, columns) in quick ? QuickShapes : ThoroughShapes)
        {
            // A processor without a unit for the type may take seconds a product: the first, small shape tells, and the others are left out.
            var work = 2.0 * rows * inner * columns;
            var budget = quick ? 0.15 : 0.8;
            if (speeds.Count > 0 && work / speeds[^1].FlopsPerSecond > 2 * budget) continue;
            using var scope = NewDisposeScope();
            var (x, w) = (randn(rows, inner).to_type(type), randn(columns, inner).to_type(type));
            speeds.Add(new ProductSpeed(rows, inner, columns, work / Median(() => nn.functional.linear(x, w).Dispose(), budget)));
        }
        return speeds;
    }

    /// <summary>Bytes read plus bytes written a second when a tensor far larger than the caches is copied.</summary>
    public static double CopySpeed(bool quick)
    {
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        var count = quick ? 16L << 20 : 64L << 20;
        var (source, destination) = (ones(count), zeros(count));
        return 2.0 * count * sizeof(float) / Median(() => destination.copy_(source), budget: quick ? 0.15 : 0.8);
    }

    /// <summary>Bytes a second from memory to the disk under a folder, flush included. The file is deleted again.</summary>
    /// <param name="folder">An existing folder.</param>
    /// <param name="bytes">Size of the file.</param>
    /// <exception cref="PerennialException">The folder cannot be written (exit 1).</exception>
    public static double DiskSpeed(string folder, long bytes)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(bytes, 1);
        var content = new byte[Math.Min(bytes, 8 << 20)];
        new Random(1).NextBytes(content); // nothing that a file system could compress away
        var path = Path.Combine(folder, $"perennial-probe-{Guid.NewGuid():N}{AtomicFile.TemporarySuffix}");
        try
        {
            var start = Stopwatch.GetTimestamp();
            using (var stream = new FileStream(path, FileMode.CreateNew, FileAccess.Write, FileShare.None, 1 << 16, FileOptions.DeleteOnClose))
            {
                for (var left = bytes; left > 0; left -= content.Length) stream.Write(content, 0, (int)Math.Min(left, content.Length));
                stream.Flush(flushToDisk: true);
                return bytes / Stopwatch.GetElapsedTime(start).TotalSeconds;
            }
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw PerennialException.Failed($"{folder}: its disk cannot be measured: {error.Message.Split('\n')[0]}", error);
        }
    }

    /// <summary>Median time of an action in seconds: 3 to 50 runs within the budget after a warm one, or the better of two where one exceeds the budget.</summary>
    private static double Median(Action action, double budget)
    {
        var warm = Time(action);
        if (warm > budget) return Math.Min(warm, Time(action));
        var times = new List<double>();
        for (var spent = 0.0; times.Count < 50 && (spent < budget || times.Count < 3); spent += times[^1]) times.Add(Time(action));
        times.Sort();
        return times[times.Count / 2];
    }

    private static double Time(Action action)
    {
        var start = Stopwatch.GetTimestamp();
        action();
        return Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    private static long? AvailableMemory()
    {
        const string Key = "MemAvailable:";
        if (!File.Exists("/proc/meminfo")) return null;
        var line = File.ReadLines("/proc/meminfo").FirstOrDefault(line => line.StartsWith(Key, StringComparison.Ordinal));
        return line is not null && long.TryParse(line[Key.Length..].Replace("kB", "", StringComparison.Ordinal).Trim(), out var kibibytes) ? kibibytes << 10 : null;
    }
}
