using System.Diagnostics;
using Perennial.Core;
using Perennial.Models;
using Perennial.Resilience.Snapshots;
using Perennial.Tensors;
using Perennial.Training.Memory;
using Perennial.Training.State;

namespace Perennial.Training.Bench;

/// <summary>How a state is kept in <c>bench snapshot</c>.</summary>
public enum KeepMode
{
    /// <summary>Not at all: what the others are compared with.</summary>
    Nothing,

    /// <summary>A snapshot in a manager's memory after every step.</summary>
    Memory,

    /// <summary>A checkpoint after every step: copied at once, written and made durable beside the next.</summary>
    AsynchronousDisk,

    /// <summary>A checkpoint after every step, durable before the next begins.</summary>
    SynchronousDisk,
}

/// <summary>What <c>bench snapshot</c> is asked for.</summary>
public sealed record SnapshotBenchOptions
{
    /// <summary>The run's id at the manager.</summary>
    public required Guid RunId { get; init; }

    /// <summary>The manager, a process of its own.</summary>
    public required SnapshotEndpoint Manager { get; init; }

    /// <summary>Folder on the disk that checkpoints are measured on.</summary>
    public required string Folder { get; init; }

    /// <summary>Sequences of 256 tokens of a step.</summary>
    public int Rows { get; init; } = 16;

    /// <summary>Rounds; each times nothing and memory twice, in an order in which a machine that becomes slower or faster is the same to both, and then the disk both ways.</summary>
    public int Rounds { get; init; } = 6;

    /// <summary>Pairs of short steps, one with a snapshot and one without, that tell what a snapshot costs more exactly than long steps can.</summary>
    public int Pairs { get; init; } = 48;
}

/// <summary>What was measured of one mode. Times are medians over rounds, seconds.</summary>
/// <param name="Mode">The mode.</param>
/// <param name="Step">Time of a step, everything that the mode costs included.</param>
/// <param name="OverPlain">Median of the mode's time over that of nothing kept: of the neighbouring step in memory's case, of the round's mean in the disk's.</param>
/// <param name="LowerQuartile">A quarter of these ratios were lower.</param>
/// <param name="UpperQuartile">A quarter of these ratios were higher.</param>
/// <param name="Wait">Time of a step that training stood still for the mode.</param>
/// <param name="Bytes">Bytes kept a step.</param>
/// <param name="Parameters">Parameters of the model.</param>
/// <param name="Times">Every step's time, in the order in which they ran.</param>
public sealed record SnapshotBenchResult(KeepMode Mode, double Step, double OverPlain, double LowerQuartile, double UpperQuartile, double Wait, long Bytes, long Parameters, IReadOnlyList<double> Times);

/// <summary>
/// What a snapshot in memory costs, from neighbouring short steps. How long a step takes varies with the machine in proportion to it, what a
/// snapshot costs does not, so its cost stands out beside short steps and is lost beside long ones.
/// </summary>
/// <param name="Seconds">Median difference of a step with a snapshot and its neighbour without.</param>
/// <param name="Lower">Lower end of that median's 95 % interval (order statistics).</param>
/// <param name="Upper">Upper end.</param>
/// <param name="Pairs">Pairs of steps.</param>
/// <param name="Step">A short step's time, seconds.</param>
public sealed record SnapshotCost(double Seconds, double Lower, double Upper, int Pairs, double Step);

/// <summary>
/// Times real training steps of a model with 25 M parameters while its state is kept after every one of them, each way in turn and in the same
/// process: in memory outside the trainer, on disk asynchronously, on disk synchronously.
/// </summary>
public static class SnapshotBench
{
    private const int Time = 256;

    /// <summary>Measures every mode.</summary>
    /// <exception cref="PerennialException">Exit 1: the manager or the folder cannot be used.</exception>
    public static IReadOnlyList<SnapshotBenchResult> Run(SnapshotBenchOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        using var trainer = Trainer(options.Rows);
        var problems = new List<string>();
        using var keeper = new Keeper(options, trainer.State, problems.Add);
        var modes = Enum.GetValues<KeepMode>();
        var times = modes.ToDictionary(mode => mode, _ => new List<double>());
        var ratios = modes.ToDictionary(mode => mode, _ => new List<double>());
        var waits = modes.ToDictionary(mode => mode, _ => new List<double>());
        for (var step = 0; step < 2; step++) trainer.Run(++keeper.Step);
        // Both slots of the manager and the copy have their pages, and the files are there, before anything counts.
        foreach (var mode in new[] { KeepMode.Memory, KeepMode.Memory, KeepMode.AsynchronousDisk }) keeper.Time(mode, trainer);
        KeepMode[] plainFirst = [KeepMode.Nothing, KeepMode.Memory, KeepMode.Memory, KeepMode.Nothing], memoryFirst = [KeepMode.Memory, KeepMode.Nothing, KeepMode.Nothing, KeepMode.Memory];
        for (var number = 0; number < options.Rounds; number++)
        {
            var mine = modes.ToDictionary(mode => mode, _ => new List<double>());
            void Add(KeepMode mode)
            {
                var (seconds, wait) = keeper.Time(mode, trainer);
                mine[mode].Add(seconds);
                waits[mode].Add(wait);
            }
            // What the disk leaves behind (its own late work, a processor that rested while it waited) would favour or burden whoever came next.
            keeper.Time(KeepMode.Nothing, trainer);
            foreach (var mode in number % 2 == 0 ? plainFirst : memoryFirst) Add(mode);
            ratios[KeepMode.Memory].AddRange(mine[KeepMode.Memory].Zip(mine[KeepMode.Nothing], (kept, plain) => kept / plain));
            Add(KeepMode.AsynchronousDisk);
            Add(KeepMode.SynchronousDisk);
            foreach (var mode in modes)
            {
                times[mode].AddRange(mine[mode]);
                if (mode != KeepMode.Memory) ratios[mode].Add(mine[mode].Average() / mine[KeepMode.Nothing].Average());
            }
        }
        Check(problems);
        return [.. modes.Select(mode => new SnapshotBenchResult(mode, Quantile.Of(times[mode], 0.5), Quantile.Of(ratios[mode], 0.5), Quantile.Of(ratios[mode], 0.25), Quantile.Of(ratios[mode], 0.75), Quantile.Of(waits[mode], 0.5),
            mode == KeepMode.Nothing ? 0 : keeper.Bytes, trainer.State.Parameters.Layout.Length, times[mode]))];
    }

    /// <summary>Measures what one snapshot costs.</summary>
    /// <exception cref="PerennialException">Exit 1: the manager cannot be used.</exception>
    public static SnapshotCost Cost(SnapshotBenchOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        using var trainer = Trainer(Math.Max(1, options.Rows / 8));
        var problems = new List<string>();
        using var keeper = new Keeper(options, trainer.State, problems.Add);
        foreach (var mode in new[] { KeepMode.Nothing, KeepMode.Memory, KeepMode.Memory }) keeper.Time(mode, trainer);
        var (differences, plain) = (new List<double>(), new List<double>());
        for (var pair = 0; pair < options.Pairs; pair++)
        {
            // Each first as often as the other, so that what one leaves behind is the same to both.
            KeepMode[] order = pair % 2 == 0 ? [KeepMode.Nothing, KeepMode.Memory] : [KeepMode.Memory, KeepMode.Nothing];
            var seconds = order.ToDictionary(mode => mode, mode => keeper.Time(mode, trainer).Seconds);
            differences.Add(seconds[KeepMode.Memory] - seconds[KeepMode.Nothing]);
            plain.Add(seconds[KeepMode.Nothing]);
        }
        Check(problems);
        // Distribution-free: the number of differences below the median is binomial.
        var half = Math.Min(0.5, 0.98 / Math.Sqrt(options.Pairs));
        return new(Quantile.Of(differences, 0.5), Quantile.Of(differences, 0.5 - half), Quantile.Of(differences, 0.5 + half), options.Pairs, Quantile.Of(plain, 0.5));
    }

    private static FusedStep Trainer(int rows)
    {
        var config = new LlamaArchitecture(new LlamaOptions { Layers = 8, Width = 448, Heads = 7, Context = Time }).Describe(8192, 0);
        return new FusedStep(new BenchShape("25m", config, rows, Math.Min(8, rows), Time), Bfloat16.IsNative ? Precision.Bfloat16 : Precision.Float32);
    }

    private static void Check(List<string> problems)
    {
        if (problems.Count > 0) throw PerennialException.Failed($"snapshots went wrong while they were timed: {problems[0]}");
    }

    /// <summary>Keeps the state one way or the other.</summary>
    private sealed class Keeper : IDisposable
    {
        private readonly TrainingState state;
        private readonly string folder;
        private readonly MemorySnapshots memory;
        private readonly StateBytes bytes;
        private readonly StateSnapshot copy;
        private Task writing = Task.CompletedTask;

        public Keeper(SnapshotBenchOptions options, TrainingState state, Action<string> problem)
        {
            (this.state, folder) = (state, options.Folder);
            var settings = new MemorySettings { RunId = options.RunId, Managers = new Dictionary<string, SnapshotEndpoint>(StringComparer.Ordinal) { ["local"] = options.Manager } };
            (bytes, copy) = (new StateBytes(state, state.Parameters), new StateSnapshot(state));
            memory = new MemorySnapshots(settings, bytes, () => state.Progress.Step, problem);
            memory.Join(null, ["local"]);
        }

        public long Step { get; set; }

        public long Bytes => bytes.Count;

        /// <summary>Seconds of a step that has the keeping of the state before it beside it, and of those the seconds that training stood still.</summary>
        public (double Seconds, double Wait) Time(KeepMode mode, FusedStep trainer)
        {
            var wait = 0.0;
            void Still(Action what)
            {
                var start = Stopwatch.GetTimestamp();
                what();
                wait += Stopwatch.GetElapsedTime(start).TotalSeconds;
            }
            trainer.BeforeUpdate = mode == KeepMode.Memory ? () => Still(memory.WaitDecided) : null;
            var clock = Stopwatch.GetTimestamp();
            switch (mode)
            {
                case KeepMode.Memory:
                    Still(memory.Offer);
                    break;
                case KeepMode.AsynchronousDisk:
                    Still(() => copy.Take(state));
                    writing = Task.Run(Write);
                    break;
                case KeepMode.SynchronousDisk:
                    Still(() =>
                    {
                        copy.Take(state);
                        Write();
                    });
                    break;
            }
            trainer.Run(++Step);
            state.Progress = state.Progress with { Step = Step };
            // The next checkpoint could not begin before this one is durable.
            Still(() => writing.GetAwaiter().GetResult());
            return (Stopwatch.GetElapsedTime(clock).TotalSeconds, wait);
        }

        public void Dispose()
        {
            writing.GetAwaiter().GetResult();
            memory.Dispose();
            copy.Dispose();
        }

        private void Write()
        {
            foreach (var (name, values) in copy.Slots.Select(slot => (slot.Name, slot.Values)).Prepend(("parameters", copy.Parameters)))
            {
                var (address, count) = (TensorMemory.Pointer(values), values.NumberOfElements * values.ElementSize);
                AtomicFile.Write(Path.Combine(folder, name + ".bin"), stream => WriteAll(stream, address, count));
            }
        }

        private static unsafe void WriteAll(Stream stream, nint address, long count)
        {
            const int Piece = 8 << 20;
            for (var done = 0L; done < count; done += Piece) stream.Write(new ReadOnlySpan<byte>((byte*)address + done, (int)Math.Min(Piece, count - done)));
        }
    }
}
