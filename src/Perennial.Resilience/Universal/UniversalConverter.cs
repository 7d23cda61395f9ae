using System.Globalization;
using Perennial.Core;
using Perennial.Core.Safetensors;
using Perennial.Resilience.Layouts;
using Perennial.Resilience.Plans;

namespace Perennial.Resilience.Universal;

/// <summary>
/// Rewrites checkpoints without a model: into files for another layout, into one file a tensor, and back. Memory is what the writers of a few
/// files need (2 MiB each) and the mapped pages, whatever the model's size. What was written is read back and judged by the transition gate
/// before the manifest appears.
/// </summary>
public static class UniversalConverter
{
    /// <summary>Rewrites into the files that ranks of <paramref name="target"/> would have written.</summary>
    /// <param name="source">The checkpoint.</param>
    /// <param name="folder">An existing, empty folder.</param>
    /// <param name="target">The layout that the files are for.</param>
    /// <exception cref="PerennialException">Exit 2: another model. Exit 3: the source is damaged or the result is not equal to it.</exception>
    public static UniversalManifest Reshard(UniversalCheckpoint source, string folder, StateLayout target)
    {
        ArgumentNullException.ThrowIfNull(source);
        ArgumentNullException.ThrowIfNull(target);
        RequireOther(source, target);
        return Rewrite(Of(source), folder, target, StoredLayout.Duty(target), RankName);
    }

    /// <summary>Rewrites into one file a tensor, each entry in its logical shape: readable by any tool.</summary>
    /// <param name="source">The checkpoint.</param>
    /// <param name="folder">An existing, empty folder.</param>
    /// <exception cref="PerennialException">Exit 3: the source is damaged or the result is not equal to it.</exception>
    public static UniversalManifest Consolidate(UniversalCheckpoint source, string folder)
    {
        ArgumentNullException.ThrowIfNull(source);
        var atoms = StoredLayout.Atoms(source.Manifest.Stored);
        RequireOther(source, atoms);
        return Rewrite(Of(source), folder, atoms, atoms, TensorName);
    }

    /// <summary>Writes a state that lies in other files as the ranks of <paramref name="target"/> would have.</summary>
    /// <param name="source">The state.</param>
    /// <param name="folder">An existing, empty folder.</param>
    /// <param name="target">The layout that the files are for; null for one file a tensor.</param>
    /// <exception cref="PerennialException">Exit 2: another model. Exit 3: the result is not equal to the source.</exception>
    public static UniversalManifest Import(ForeignState source, string folder, StateLayout? target)
    {
        ArgumentNullException.ThrowIfNull(source);
        var live = target ?? StoredLayout.Atoms(source.Layout);
        var origin = new Origin(Guid.NewGuid().ToString("N"), UniversalWriter.DefaultChunk, null, source.Progress,
            (slot, file) => new CopyWindow(TransferPlan.For(file, source.Layout.Find(slot.Slot.Name)!.Layout, slot.Layout), rank => source.Buffer(slot.Slot.Name, rank)), _ => source.Summary, source.IsMapped ? Concurrent.Files : 1);
        return Rewrite(origin, folder, live, target is null ? live : StoredLayout.Duty(live), target is null ? TensorName : RankName);
    }

    private sealed record Origin(string Save, int ChunkBytes, Canary? Canary, ProgressRecord Progress, Func<SlotLayout, int, CopyWindow> Window, Func<StateLayout, StateSummary> Expected, int AtOnce);

    private static Origin Of(UniversalCheckpoint source) =>
        new(source.Manifest.Save, source.Manifest.ChunkBytes, source.Manifest.Canary, source.Manifest.Summary.Progress, (slot, file) => source.Window(slot.Slot.Name, slot.Layout, file), source.Expected, Concurrent.Files);

    private static void RequireOther(UniversalCheckpoint source, StateLayout live)
    {
        if (live.Slots.Count == source.Manifest.Slots.Count && live.Slots.Zip(source.Manifest.Slots).All(pair => pair.First.Layout.Equals(pair.Second.Live)))
            throw PerennialException.Usage($"{source.Folder}: the checkpoint is in this layout already");
    }

    private static UniversalManifest Rewrite(Origin source, string folder, StateLayout live, StateLayout stored, Func<int, string> name)
    {
        var (files, evidence) = (new UniversalFile[stored.Ranks], new RankEvidence[stored.Ranks]);
        StateSummary? judged = null;
        // The disk takes what is written while files are read back and the source is read for what it should come to; only then is it waited for.
        using var batch = new FileBatch();
        Concurrent.For(stored.Ranks + 1, source.AtOnce, file =>
        {
            if (file == stored.Ranks)
            {
                judged = source.Expected(live);
                return;
            }
            batch.Write(Path.Combine(folder, name(file)), pending =>
            {
                files[file] = ShardFile.Write(pending, source.Save, stored, file, source.ChunkBytes, slot => source.Window(slot, file));
                evidence[file] = ReadBack(pending.Temporary, stored, file, source.Progress);
            });
        });
        var expected = judged!;
        TransitionGate.Require(expected, stored, evidence);
        batch.Commit();
        var slots = live.Slots.Zip(stored.Slots, (memory, disk) => new UniversalSlot(memory.Slot, memory.Layout, disk.Layout)).ToList();
        var summary = expected with { Slots = [.. expected.Slots.Select(slot => slot with { LayoutHash = live.Find(slot.Slot.Name)!.Layout.HashText })] };
        var manifest = new UniversalManifest(UniversalManifest.CurrentFormat, source.Save, live.Shape.ToString(), source.ChunkBytes, slots, files, summary, source.Canary);
        manifest.Write(folder);
        return manifest;
    }

    /// <summary>What a new file contains, as if it were a rank's buffers.</summary>
    private static RankEvidence ReadBack(string path, StateLayout stored, int index, ProgressRecord progress)
    {
        using var file = SafetensorsFile.Open(path);
        var buffers = stored.Slots.ToDictionary(slot => slot.Slot.Name, slot => file.Header.Find(slot.Slot.Name) is { } entry ? FlatBytes.At(file.Pointer(entry), entry.ByteLength) : FlatBytes.Of(Memory<byte>.Empty));
        return RankEvidence.Gather(stored, index, buffers, progress);
    }

    private static string RankName(int file) => $"rank-{Number(file)}.safetensors";

    private static string TensorName(int file) => $"tensor-{Number(file)}.safetensors";

    private static string Number(int file) => file.ToString("d4", CultureInfo.InvariantCulture);
}
