using System.Globalization;
using Perennial.Core;
using Perennial.Core.Safetensors;
using Perennial.Models;
using Perennial.Models.HuggingFace;
using Perennial.Resilience;
using Perennial.Resilience.Groups;
using Perennial.Resilience.Layouts;
using Perennial.Resilience.Plans;
using Perennial.Resilience.Universal;
using Perennial.Training.Parallel;
using Perennial.Training.State;

namespace Perennial.Training.Checkpoints;

/// <summary>A checkpoint opened for a state of any layout: the buffers it filled, and what the transition gate must compare them with.</summary>
/// <param name="Progress">The progress it holds.</param>
/// <param name="Record">The same and the keys, as this run has them now: what the gate compares with the saved ones.</param>
/// <param name="Load">What was read.</param>
/// <param name="Expected">What was saved; null where only the leader makes it (a checkpoint of one process carries no digests).</param>
public sealed record RestoredState(Progress Progress, ProgressRecord Record, UniversalLoad Load, StateSummary? Expected);

/// <summary>
/// Checkpoints under parallel shapes. Those that ranks wrote (<c>universal.json</c>) and those of one process (a Hugging Face folder with
/// <c>state/</c>) are both read into any layout, and each rank touches only the bytes that it needs.
/// </summary>
public static class ShardedCheckpoint
{
    private const string ProgressKey = "progress", StreamKey = "stream", SeedKey = "run", OptimizerKey = "optimizer";

    /// <summary>Whether a folder was written by ranks of a parallel shape.</summary>
    public static bool IsIn(string folder) => File.Exists(Path.Combine(folder, UniversalManifest.FileName));

    /// <summary>The state that is not a tensor, as universal checkpoints carry it.</summary>
    /// <param name="progress">Counters, cursor, policy.</param>
    /// <param name="seed">The run's seed: key of every generator.</param>
    /// <param name="stream">Fingerprint of the sample stream.</param>
    public static ProgressRecord Record(Progress progress, ulong seed, string stream)
    {
        ArgumentNullException.ThrowIfNull(progress);
        return new(progress.Step, progress.Tokens, progress.Cursor, new Dictionary<string, ulong> { [SeedKey] = seed }, new Dictionary<string, long> { [OptimizerKey] = progress.Step },
            new Dictionary<string, string> { [ProgressKey] = ProgressJson.Write(progress), [StreamKey] = stream });
    }

    /// <summary>The progress that a record carries.</summary>
    /// <exception cref="PerennialException">Exit 3: it carries none, or one that contradicts it.</exception>
    public static Progress ProgressOf(ProgressRecord record, string place)
    {
        ArgumentNullException.ThrowIfNull(record);
        if (!record.Values.TryGetValue(ProgressKey, out var text)) throw PerennialException.Damaged($"{place}: holds no progress of a training run");
        var progress = ProgressJson.Read(text, place);
        return progress.Step == record.Step && progress.Cursor == record.Cursor && record.Counters.GetValueOrDefault(OptimizerKey) == record.Step ? progress
            : throw PerennialException.Damaged($"{place}: step {record.Step}, cursor {record.Cursor} and the progress beside them contradict each other");
    }

    /// <summary>The progress of a checkpoint that ranks wrote; null where it holds weights alone.</summary>
    /// <exception cref="PerennialException">Exit 3: damaged.</exception>
    public static Progress? TryProgress(UniversalManifest manifest, string place)
    {
        ArgumentNullException.ThrowIfNull(manifest);
        return manifest.Summary.Progress.Values.ContainsKey(ProgressKey) ? ProgressOf(manifest.Summary.Progress, place) : null;
    }

    /// <summary>Fills one rank's buffers from a checkpoint of either form.</summary>
    /// <param name="folder">The checkpoint.</param>
    /// <param name="layout">The layout of the buffers.</param>
    /// <param name="rank">The rank.</param>
    /// <param name="buffers">Its buffers.</param>
    /// <param name="seed">The run's seed.</param>
    /// <param name="stream">Fingerprint of the run's sample stream.</param>
    /// <param name="withExpected">Whether to work out what the gate expects where the checkpoint does not carry it (reads all of it once).</param>
    /// <param name="group">The ranks of the layout, all of which read at once; null for a rank by itself.</param>
    /// <exception cref="PerennialException">Exit 3: damaged, or of another model or optimizer.</exception>
    public static RestoredState Read(string folder, StateLayout layout, int rank, IReadOnlyDictionary<string, FlatBytes> buffers, ulong seed, string stream, bool withExpected, ICommunicator? group = null)
    {
        ArgumentNullException.ThrowIfNull(layout);
        ArgumentNullException.ThrowIfNull(buffers);
        if (!IsIn(folder)) return PlainSource.Read(folder, layout, rank, buffers, seed, stream, withExpected);
        using var checkpoint = UniversalCheckpoint.Open(folder);
        var saved = checkpoint.Manifest.Summary.Progress;
        foreach (var slot in checkpoint.Manifest.Slots.Where(slot => layout.Find(slot.Slot.Name) is null))
            throw PerennialException.Damaged($"{folder}: holds slot '{slot.Slot.Name}', which this recipe does not use");
        foreach (var slot in layout.Slots.Where(slot => checkpoint.Manifest.Slots.All(other => other.Slot.Name != slot.Slot.Name)))
            throw PerennialException.Damaged($"{folder}: lacks slot '{slot.Slot.Name}', which this recipe's optimizer or practices need");
        var progress = ProgressOf(saved, folder);
        var load = checkpoint.Load(layout, rank, buffers, group);
        return new(progress, Record(progress, seed, stream), load, checkpoint.Expected(layout));
    }

    /// <summary>Reads a checkpoint that ranks wrote into the state of one process, through the transition gate.</summary>
    /// <exception cref="PerennialException">Exit 3: damaged, of another model or optimizer, or not what was saved.</exception>
    public static void ReadWhole(string folder, TrainingState state, int optimizerSlots, DecoderConfig config, ulong seed, string stream)
    {
        ArgumentNullException.ThrowIfNull(state);
        var placement = new DecoderPlacement(config, ParallelShape.Single);
        var layout = SlotPlacement.Layout(placement, [[
            .. SlotPlacement.Describe(placement.Global, placement.Global, state.Slots.Take(optimizerSlots), areOptimizers: true),
            .. SlotPlacement.Describe(placement.Global, placement.Global, state.Slots.Skip(optimizerSlots), areOptimizers: false)]]);
        var buffers = ShardedState.Whole(state.Parameters.Values, state.Slots);
        var restored = Read(folder, layout, 0, buffers, seed, stream, withExpected: true);
        TransitionGate.Require(restored.Expected!, layout, [RankEvidence.Gather(layout, 0, buffers, restored.Record, restored.Load.Ledgers)]);
        state.Progress = restored.Progress;
    }

    /// <summary>The weights of a checkpoint that ranks wrote, in one buffer of the whole model; checksums and content are proved.</summary>
    /// <param name="folder">The checkpoint.</param>
    /// <param name="config">The model.</param>
    /// <param name="values">Float32, <c>[length]</c>.</param>
    /// <exception cref="PerennialException">Exit 3: damaged, or of another model.</exception>
    public static void ReadWeights(string folder, DecoderConfig config, TorchSharp.torch.Tensor values)
    {
        using var checkpoint = UniversalCheckpoint.Open(folder);
        var layout = new DecoderPlacement(config, ParallelShape.Single).State([]);
        var buffers = ShardedState.Whole(values, []);
        UniversalLoad load;
        try
        {
            load = checkpoint.Load(layout, 0, buffers);
        }
        catch (PerennialException error) when (error.Code == ExitCode.Usage)
        {
            throw PerennialException.Damaged($"{folder}: {ConfigJson.FileName} and {UniversalManifest.FileName} are of two models: {error.Message}", error);
        }
        var expected = checkpoint.Expected(layout);
        expected = expected with { Slots = [.. expected.Slots.Where(slot => slot.Slot.Name == DecoderPlacement.Weights)] };
        TransitionGate.Require(expected, layout, [RankEvidence.Gather(layout, 0, buffers, expected.Progress, load.Ledgers)]);
    }

    /// <summary>The files of a manifest whose checksums their writers know.</summary>
    public static IReadOnlyList<ManifestFile> Known(UniversalManifest manifest)
    {
        ArgumentNullException.ThrowIfNull(manifest);
        return [.. manifest.Files.Select(file => new ManifestFile(file.Name, file.Bytes, file.Hash))];
    }
}

/// <summary>
/// A checkpoint of one process as a layout of one rank: the data of its two files are the flat buffers, so plans read it like any other.
/// </summary>
internal static class PlainSource
{
    private const string SlotsFile = "state/slots.safetensors";

    public static RestoredState Read(string folder, StateLayout layout, int rank, IReadOnlyDictionary<string, FlatBytes> buffers, ulong seed, string stream, bool withExpected)
    {
        var progress = CheckpointFiles.ReadProgress(folder);
        using var weights = SafetensorsFile.Open(Path.Combine(folder, WeightFiles.FileName));
        using var slots = SafetensorsFile.Open(Path.Combine(folder, SlotsFile));
        var single = new StateLayout(ParallelShape.Single, [.. layout.Slots.Select(slot => slot with { Layout = Whole(slot.Layout) })]);
        var sources = single.Slots.ToDictionary(slot => slot.Slot.Name, slot => slot.Slot.Name == DecoderPlacement.Weights ? Weights(weights, slot.Layout) : Slot(slots, slot), StringComparer.Ordinal);
        foreach (var idle in slots.Entries.Where(entry => !sources.ContainsKey(entry.Name))) throw PerennialException.Damaged($"{slots.Path}: holds slot '{idle.Name}', which this recipe does not use");
        var ledgers = new Dictionary<string, FillLedger>(StringComparer.Ordinal);
        long needed = 0;
        foreach (var slot in layout.Slots)
        {
            var (name, ledger) = (slot.Slot.Name, new FillLedger());
            var buffer = buffers[name];
            buffer.Clear();
            // The source is rank 0 of its own layout, whatever this rank is.
            foreach (var copy in TransferPlan.For(rank, single.Find(name)!.Layout, slot.Layout).Copies)
            {
                TransferRun.Copy(copy, sources[name], buffer);
                ledger.Note(copy);
                needed += copy.Bytes;
            }
            ledgers.Add(name, ledger);
        }
        var record = ShardedCheckpoint.Record(progress, seed, stream);
        var expected = withExpected ? StateSummary.Of(single, [RankEvidence.Gather(single, 0, sources, record)]) : null;
        return new(progress, record, new UniversalLoad(needed, needed, 2, ledgers), expected);
    }

    /// <summary>The tensors one after another on one rank.</summary>
    private static Layout Whole(Layout layout)
    {
        var (runs, end) = (new List<LayoutRun>(), 0L);
        for (var i = 0; i < layout.Tensors.Count; i++)
        {
            runs.Add(new LayoutRun(i, 0, end, layout.Tensors[i].Bytes));
            end += layout.Tensors[i].Bytes;
        }
        return Layout.Of(layout.Tensors, [new RankBuffer(end, runs)]);
    }

    private static FlatBytes Weights(SafetensorsFile file, Layout layout)
    {
        nint start = 0, next = 0;
        foreach (var tensor in layout.Tensors)
        {
            var entry = file[tensor.Name];
            if (entry.Type != SafetensorsType.F32 || !entry.Shape.SequenceEqual(tensor.Shape)) throw PerennialException.Damaged($"{file.Path}: tensor '{tensor.Name}' is {entry.Type} [{string.Join(", ", entry.Shape)}], the model needs F32 [{string.Join(", ", tensor.Shape)}]");
            var at = file.Pointer(entry);
            if (start == 0) start = at;
            else if (at != next) throw PerennialException.Damaged($"{file.Path}: tensor '{tensor.Name}' is not where a checkpoint of this program has it");
            next = at + (nint)entry.ByteLength;
        }
        return FlatBytes.At(start, next - start);
    }

    private static FlatBytes Slot(SafetensorsFile file, SlotLayout slot)
    {
        if (file.Header.Find(slot.Slot.Name) is not { } entry) throw PerennialException.Damaged($"{file.Path}: lacks slot '{slot.Slot.Name}', which this recipe's optimizer or practices need");
        return entry.ByteLength == slot.Layout.Ranks[0].Bytes ? FlatBytes.At(file.Pointer(entry), entry.ByteLength)
            : throw PerennialException.Damaged(string.Create(CultureInfo.InvariantCulture, $"{file.Path}: slot '{slot.Slot.Name}' has {entry.ByteLength} bytes instead of {slot.Layout.Ranks[0].Bytes}"));
    }
}
