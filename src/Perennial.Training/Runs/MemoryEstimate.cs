using Perennial.Models;
using Perennial.Training.Loop;
using Perennial.Training.Recipes;

namespace Perennial.Training.Runs;

/// <summary>
/// Bytes a run needs. Exact (frozen parts count among the slots, places of sparse parts and the one transient weight among the weights): weights, gradients and slots (4 bytes an element each; bfloat16 adds 2 for its copy), one copy of weights
/// and slots for the checkpoint writer, another with roll-back. Estimated: what a micro-batch keeps for backward
/// (tokens × layers × (6·width + 2·keys + 3·intermediate) × 4), the head's chunk of logits (32 MiB), and what the runtime and libtorch
/// take themselves, measuring the machine and the yardsticks included (500 MiB).
/// </summary>
/// <param name="Weights">Master weights and the compute copy.</param>
/// <param name="Gradients">Flat gradient.</param>
/// <param name="Slots">Optimizer and practice slots.</param>
/// <param name="Copies">Snapshots.</param>
/// <param name="Activations">Kept for backward, and the head's chunk.</param>
public sealed record MemoryEstimate(long Weights, long Gradients, long Slots, long Copies, long Activations)
{
    private const long Runtime = 500L << 20;

    /// <summary>All together, the runtime included.</summary>
    public long Total => Weights + Gradients + Slots + Copies + Activations + Runtime;

    /// <summary>The estimate for what a recipe was made into.</summary>
    public static MemoryEstimate Of(RunParts parts)
    {
        ArgumentNullException.ThrowIfNull(parts);
        var (config, training) = (parts.Config, parts.Recipe.Training);
        var elements = parts.Model.Parameters.Layout.Length;
        var slots = parts.State.Slots.Sum(slot => slot.Values.NumberOfElements * slot.Values.ElementSize);
        var rows = training.MicroBatch ?? MicroBatches.DefaultRows(training.Batch, config.Context);
        var tokens = (long)rows * config.Context;
        var block = (6L * config.Width + 2L * config.KeyValueHeads * config.HeadWidth + 3L * config.Intermediate) * sizeof(float);
        var kept = training.CheckpointActivations ? tokens * (config.Layers * config.Width * sizeof(float) + block) : tokens * config.Layers * block;
        var compute = training.Precision == PrecisionChoice.Bfloat16 ? 2 : 0;
        var made = parts.Model.Map is not { } map ? 0
            : map.FrozenLayout.Length * compute + map.SupportBytes + (map.Form.Sparse is null ? 0 : TransientBytes(config, compute == 0 ? 4 : 2));
        return new MemoryEstimate(
            elements * (4 + compute) + made, parts.Model.Parameters.Gradients.NumberOfElements * 4, slots,
            (elements * 4 + slots) * (training.OnSpike.Action == SpikeAction.RollBack ? 2 : 1), kept + (32L << 20));
    }

    /// <summary>The largest dense weight that is made for one use, and the block that it is made in.</summary>
    private static long TransientBytes(DecoderConfig config, int size) =>
        Math.Max(config.Width * (config.Heads + 2L * config.KeyValueHeads) * config.HeadWidth, (config.Family == ModelFamily.Gpt2 ? 1L : 2L) * config.Width * config.Intermediate) * size + (1 << 20);

    /// <summary>Says how the estimate compares with the process's peak resident memory.</summary>
    public static void Compare(RunParts parts, Action<string> tell)
    {
        ArgumentNullException.ThrowIfNull(tell);
        if (PeakResident() is { } peak) tell($"memory: {Mebibytes(peak)} MiB at the peak, {Mebibytes(Of(parts).Total)} MiB were estimated");
    }

    /// <summary>Peak resident bytes of this process, or null where the system does not tell.</summary>
    public static long? PeakResident()
    {
        const string status = "/proc/self/status";
        if (!File.Exists(status)) return Environment.WorkingSet > 0 ? System.Diagnostics.Process.GetCurrentProcess().PeakWorkingSet64 : null;
        var line = File.ReadLines(status).FirstOrDefault(line => line.StartsWith("VmHWM:", StringComparison.Ordinal));
        return line is null ? null : long.Parse(line.AsSpan(6).Trim().TrimEnd("kB").Trim(), System.Globalization.CultureInfo.InvariantCulture) << 10;
    }

    private static long Mebibytes(long bytes) => bytes >> 20;
}
