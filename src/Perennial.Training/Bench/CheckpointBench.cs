using System.Diagnostics;
using System.Globalization;
using Perennial.Core.Safetensors;
using Perennial.Models;
using Perennial.Models.HuggingFace;
using Perennial.Resilience.Layouts;
using Perennial.Resilience.Plans;
using Perennial.Resilience.Universal;
using Perennial.Tensors;
using Perennial.Training.Checkpoints;
using Perennial.Training.Parallel;

namespace Perennial.Training.Bench;

/// <summary>One measured way of moving a checkpoint.</summary>
/// <param name="Name">What was done.</param>
/// <param name="Bytes">Bytes that came out.</param>
/// <param name="Seconds">Median time.</param>
/// <param name="OfCopy">Its bytes a second over those of a file copy in the same run.</param>
/// <param name="PeakBytes">Most memory of its own (anonymous, mapped files left out) that it took beyond what was in use.</param>
public sealed record CheckpointTiming(string Name, long Bytes, double Seconds, double OfCopy, long PeakBytes);

/// <summary>
/// Speed of saving, loading, reshaping and converting checkpoints against copies of files of as many bytes on the same disk in the same run.
/// Source files are in the page cache, and every copy and conversion ends with its bytes on the disk.
/// </summary>
public static class CheckpointBench
{
    private const string Saved = "data=2,tensor=2,zero=1", Other = "pipeline=2,tensor=2";

    /// <summary>Measures.</summary>
    /// <param name="folder">A new folder on the disk that is meant; removed afterwards.</param>
    /// <param name="mebibytes">Size of the state: weights and two optimizer slots.</param>
    /// <param name="repetitions">Measurements of each, of which the median counts.</param>
    /// <param name="tell">Told of each figure as it is there.</param>
    /// <exception cref="IOException">The disk is full or cannot be written.</exception>
    public static IReadOnlyList<CheckpointTiming> Measure(string folder, int mebibytes, int repetitions, Action<CheckpointTiming> tell)
    {
        ArgumentNullException.ThrowIfNull(tell);
        try
        {
            return new Run(folder, Config(mebibytes), repetitions, tell).All();
        }
        finally
        {
            if (Directory.Exists(folder)) Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>A decoder whose state has about so many mebibytes.</summary>
    private static DecoderConfig Config(int mebibytes)
    {
        const int width = 512, inner = 1408;
        var block = 2L * width * width * 2 + 3L * width * inner;
        var elements = mebibytes * (1L << 20) / (3 * sizeof(float));
        return new DecoderConfig
        {
            Family = ModelFamily.Llama, Vocabulary = 8192, Context = 256, Width = width, Layers = (int)Math.Max(2, (elements - 8192L * width) / block), Heads = 8, KeyValueHeads = 8, HeadWidth = 64, Intermediate = inner, TiedHead = true,
        };
    }

    private sealed class Run(string folder, DecoderConfig config, int repetitions, Action<CheckpointTiming> tell)
    {
        private readonly List<CheckpointTiming> timings = [];
        private readonly StateLayout saved = Layout(config, Saved), other = Layout(config, Other);
        private double copyRate;

        public IReadOnlyList<CheckpointTiming> All()
        {
            var (source, tensors) = (Directory.CreateDirectory(At("source")).FullName, saved.Slots.Select(slot => slot.Layout.Ranks.Select(rank => HugePages.Zeros(rank.Bytes / sizeof(float))).ToList()).ToList());
            var buffers = Enumerable.Range(0, saved.Ranks).Select(rank => saved.Slots.Select((slot, i) => (slot.Slot.Name, Bytes: FlatBytes.At(TensorMemory.Pointer(tensors[i][rank]), saved.Slots[i].Layout.Ranks[rank].Bytes))).ToDictionary(pair => pair.Name, pair => pair.Bytes)).ToList();
            FillBuffers(buffers);
            var record = ShardedCheckpoint.Record(new(), 1, "bench");
            Save(source, buffers, record);
            ConfigJson.Write(config, source);
            var files = Directory.GetFiles(source, "rank-*.safetensors");
            var bytes = files.Sum(file => new FileInfo(file).Length);
            // The yardstick: the same files, read from the page cache, written anew and flushed.
            Yardstick("copy of the files", bytes, target => { foreach (var file in files) Copy(file, Path.Combine(target, Path.GetFileName(file))); });
            Time("save as safetensors alone, no digests", bytes, target => Plain(target, buffers), announce: true);
            Time("save, every rank its part", bytes, target => Save(target, buffers, record), announce: true);
            Time("load under the same shape", bytes, _ => Load(source, saved, buffers), announce: true);
            Reuse(tensors, other, targets => Time("load under another shape", bytes, _ => Load(source, other, targets), announce: true));
            var weights = DecoderLayout.Of(config).Length * sizeof(float);
            CheckpointConversion.ToHuggingFace(source, At("hf"), new ConversionOptions());
            // What has a third of the bytes is held against a copy of as many: a flush takes its time whatever it flushes.
            var whole = copyRate;
            Yardstick("copy of the weights alone", weights, target => Copy(Path.Combine(At("hf"), WeightFiles.FileName), Path.Combine(target, WeightFiles.FileName)));
            Time("convert to Hugging Face", weights, target => CheckpointConversion.ToHuggingFace(source, Path.Combine(target, "hf"), new ConversionOptions()), announce: true);
            Time("convert from Hugging Face to a shape", weights, target => CheckpointConversion.ToShape(At("hf"), Path.Combine(target, "cut"), ParallelShape.Parse(Other)), announce: true);
            copyRate = whole;
            Time("convert to one file a tensor", bytes, target => CheckpointConversion.ToAtoms(source, Path.Combine(target, "atoms")), announce: true);
            Time("convert to another shape", bytes, target => CheckpointConversion.ToShape(source, Path.Combine(target, "shape"), ParallelShape.Parse(Other)), announce: true);
            foreach (var tensor in tensors.SelectMany(list => list)) tensor.Dispose();
            return timings;
        }

        private static StateLayout Layout(DecoderConfig config, string shape) => new DecoderPlacement(config, ParallelShape.Parse(shape)).State([("adamw.first-moment", true), ("adamw.second-moment", true)]);

        private string At(string name) => Path.Combine(folder, name);

        /// <summary>Times a copy, against which what follows is held.</summary>
        private void Yardstick(string name, long bytes, Action<string> copy)
        {
            Time(name, bytes, copy);
            copyRate = bytes / timings[^1].Seconds;
            timings[^1] = timings[^1] with { OfCopy = 1 };
            tell(timings[^1]);
        }

        private void Time(string name, long bytes, Action<string> body, bool announce = false)
        {
            var seconds = new List<double>();
            long peak = 0;
            for (var i = 0; i < repetitions; i++)
            {
                var target = Directory.CreateDirectory(At($"try-{i}")).FullName;
                GC.Collect();
                using (var memory = new AnonymousPeak())
                {
                    var clock = Stopwatch.GetTimestamp();
                    body(target);
                    seconds.Add(Stopwatch.GetElapsedTime(clock).TotalSeconds);
                    peak = Math.Max(peak, memory.Grown);
                }
                Directory.Delete(target, recursive: true);
            }
            seconds.Sort();
            var median = seconds[seconds.Count / 2];
            timings.Add(new(name, bytes, median, copyRate > 0 ? bytes / median / copyRate : 0, peak));
            if (announce) tell(timings[^1]);
        }

        private void Save(string target, List<Dictionary<string, FlatBytes>> buffers, ProgressRecord record)
        {
            for (var rank = 0; rank < saved.Ranks; rank++) UniversalWriter.WriteRank(target, "bench", saved, rank, buffers[rank], record);
            UniversalWriter.Finish(target, "bench", saved);
        }

        /// <summary>The bytes that ranks own, as plain files.</summary>
        private void Plain(string target, List<Dictionary<string, FlatBytes>> buffers)
        {
            var stored = StoredLayout.Duty(saved);
            for (var rank = 0; rank < stored.Ranks; rank++)
            {
                var mine = buffers[rank];
                SafetensorsWriter.Write(Path.Combine(target, $"plain-{rank.ToString(CultureInfo.InvariantCulture)}.safetensors"), stored.Slots.Where(slot => slot.Layout.Ranks[rank].Bytes > 0).Select(slot =>
                    SafetensorsTensor.Made(slot.Slot.Name, SafetensorsType.F32, [slot.Layout.Ranks[rank].Bytes / sizeof(float)], (from, part) => mine[slot.Slot.Name].Slice(from, part.Length).CopyTo(part))));
            }
        }

        private static void Load(string source, StateLayout layout, List<Dictionary<string, FlatBytes>> buffers)
        {
            using var checkpoint = UniversalCheckpoint.Open(source);
            for (var rank = 0; rank < layout.Ranks; rank++) checkpoint.Load(layout, rank, buffers[rank]);
        }

        /// <summary>Buffers of another layout, made of memory that is there already.</summary>
        private static void Reuse(List<List<TorchSharp.torch.Tensor>> old, StateLayout layout, Action<List<Dictionary<string, FlatBytes>>> body)
        {
            var made = layout.Slots.Select(slot => slot.Layout.Ranks.Select(rank => HugePages.Zeros(rank.Bytes / sizeof(float))).ToList()).ToList();
            body([.. Enumerable.Range(0, layout.Ranks).Select(rank => layout.Slots.Select((slot, i) => (slot.Slot.Name, Bytes: FlatBytes.At(TensorMemory.Pointer(made[i][rank]), slot.Layout.Ranks[rank].Bytes))).ToDictionary(pair => pair.Name, pair => pair.Bytes))]);
            foreach (var tensor in made.SelectMany(list => list)) tensor.Dispose();
        }

        /// <summary>Content that follows the logical place, so that replicas agree.</summary>
        private void FillBuffers(List<Dictionary<string, FlatBytes>> buffers)
        {
            for (var rank = 0; rank < saved.Ranks; rank++)
                foreach (var slot in saved.Slots)
                    foreach (var run in slot.Layout.Ranks[rank].Runs)
                        for (long row = 0; row < run.Count; row++)
                        {
                            var values = System.Runtime.InteropServices.MemoryMarshal.Cast<byte, uint>(buffers[rank][slot.Slot.Name].Slice(run.Local + row * run.LocalStride, (int)run.Length));
                            var at = (uint)((run.Logical + row * run.LogicalStride) / sizeof(float)) + 977u * (uint)run.Tensor;
                            for (var i = 0; i < values.Length; i++) values[i] = (at + (uint)i) * 2654435761u & 0x3fffffff;
                        }
        }

        private static void Copy(string from, string to)
        {
            const int chunk = 1 << 20;
            using var source = new FileStream(from, FileMode.Open, FileAccess.Read, FileShare.Read, 1, FileOptions.SequentialScan);
            using var target = new FileStream(to, FileMode.Create, FileAccess.Write, FileShare.None, 1);
            var buffer = new byte[chunk];
            for (int read; (read = source.Read(buffer)) > 0;) target.Write(buffer, 0, read);
            target.Flush(flushToDisk: true);
        }
    }

    /// <summary>Watches how much anonymous memory the process takes: heap and buffers, not mapped files. A sample every 2 ms: the system keeps no peak of it.</summary>
    private sealed class AnonymousPeak : IDisposable
    {
        private readonly Thread thread;
        private readonly long before = Now();
        private volatile bool stopped;
        private long most;

        public AnonymousPeak()
        {
            thread = new Thread(() =>
            {
                // The kernel keeps no peak of anonymous pages alone: they are looked at.
                for (; !stopped; Thread.Sleep(2)) most = Math.Max(most, Now());
            })
            { IsBackground = true };
            thread.Start();
        }

        public long Grown => Math.Max(0, most - before);

        public void Dispose()
        {
            stopped = true;
            thread.Join();
        }

        private static long Now()
        {
            const string status = "/proc/self/status";
            if (!File.Exists(status)) return Environment.WorkingSet;
            var line = File.ReadLines(status).FirstOrDefault(line => line.StartsWith("RssAnon:", StringComparison.Ordinal));
            return line is null ? 0 : long.Parse(line.AsSpan(8).Trim().TrimEnd("kB").Trim(), CultureInfo.InvariantCulture) << 10;
        }
    }
}
