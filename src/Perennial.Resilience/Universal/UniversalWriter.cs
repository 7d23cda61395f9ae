using System.Globalization;
using System.Text.Json;
using Perennial.Core;
using Perennial.Resilience.Layouts;
using Perennial.Resilience.Plans;

namespace Perennial.Resilience.Universal;

/// <summary>What a rank reports of its part of a save; lies beside its file until the manifest is written.</summary>
/// <param name="Save">The save's name.</param>
/// <param name="ChunkBytes">Bytes a checksum covers.</param>
/// <param name="LayoutHashes">The hash of the layout of each slot, in order.</param>
/// <param name="File">The file.</param>
/// <param name="Evidence">What the rank's buffers contain.</param>
public sealed record ShardReport(string Save, int ChunkBytes, IReadOnlyList<string> LayoutHashes, UniversalFile File, RankEvidence Evidence);

/// <summary>
/// Writes universal checkpoints (paper 47): every rank writes its own share at once, nobody gathers anything. Then one rank, when
/// all are done, checks the reports against each other and writes the manifest. Without a manifest there is no checkpoint.
/// </summary>
public static class UniversalWriter
{
    /// <summary>Bytes a checksum covers unless told otherwise.</summary>
    public const int DefaultChunk = 1 << 20;

    /// <summary>Writes one rank's file and report.</summary>
    /// <param name="folder">The checkpoint's folder; exists.</param>
    /// <param name="save">A name that all ranks use for this save and no other save has (run and step, say).</param>
    /// <param name="layout">The layout of the buffers.</param>
    /// <param name="rank">The rank.</param>
    /// <param name="buffers">Its buffer of each slot; they must not change meanwhile.</param>
    /// <param name="progress">The state that is not a tensor.</param>
    /// <param name="chunkBytes">Bytes a checksum covers; a multiple of 8.</param>
    /// <exception cref="PerennialException">Exit 1: a buffer is missing or its size is wrong.</exception>
    /// <exception cref="IOException">The disk is full or the folder cannot be written.</exception>
    public static ShardReport WriteRank(string folder, string save, StateLayout layout, int rank, IReadOnlyDictionary<string, FlatBytes> buffers, ProgressRecord progress, int chunkBytes = DefaultChunk)
    {
        ArgumentNullException.ThrowIfNull(layout);
        ArgumentNullException.ThrowIfNull(buffers);
        if (chunkBytes < 8 || chunkBytes % 8 != 0) throw PerennialException.Usage($"a checksum over {chunkBytes} bytes: it takes a multiple of 8");
        var evidence = RankEvidence.Gather(layout, rank, buffers, progress);
        foreach (var fault in evidence.Slots.SelectMany(slot => slot.Faults.Select(fault => $"rank {rank}, slot '{slot.Slot}': {fault}"))) throw PerennialException.Failed($"the state is not in order: {fault}");
        var stored = StoredLayout.Duty(layout);
        using var pending = new PendingFile(Path.Combine(folder, $"rank-{rank.ToString("d4", CultureInfo.InvariantCulture)}.safetensors"), FileShare.None);
        var file = ShardFile.Write(pending, save, stored, rank, chunkBytes, slot =>
        {
            // All that a rank writes it has: the plan from memory to its file is local.
            var plan = TransferPlan.For(rank, layout.Find(slot.Slot.Name)!.Layout, slot.Layout, new TransferOptions(Means: false));
            return new CopyWindow(plan, _ => buffers[slot.Slot.Name]);
        });
        PendingFile.Commit([pending]);
        var report = new ShardReport(save, chunkBytes, [.. layout.Slots.Select(slot => slot.Layout.HashText)], file, evidence);
        AtomicFile.WriteText(ReportPath(folder, rank), JsonSerializer.Serialize(report, UniversalJson.Options));
        return report;
    }

    /// <summary>Whether every rank has written its part and its report; the reports may still be of another save.</summary>
    public static bool IsReported(string folder, int ranks) => Enumerable.Range(0, ranks).All(rank => File.Exists(ReportPath(folder, rank)));

    /// <summary>Reads all reports, checks them, writes the manifest, and removes the reports. For one rank, after all have written.</summary>
    /// <param name="folder">The checkpoint's folder.</param>
    /// <param name="save">The save's name.</param>
    /// <param name="layout">The layout of the buffers.</param>
    /// <param name="frozen">Tensors without optimizer state.</param>
    /// <param name="canary">The canary batch, if there is one.</param>
    /// <exception cref="PerennialException">
    /// Exit 1: a report is missing or of another save or layout, replicas differ, ranks disagree about the progress. The folder has no manifest then.
    /// </exception>
    public static UniversalManifest Finish(string folder, string save, StateLayout layout, IReadOnlyList<string>? frozen = null, Canary? canary = null)
    {
        ArgumentNullException.ThrowIfNull(layout);
        var hashes = layout.Slots.Select(slot => slot.Layout.HashText).ToList();
        var reports = new List<ShardReport>();
        for (var rank = 0; rank < layout.Ranks; rank++)
        {
            var path = ReportPath(folder, rank);
            if (!File.Exists(path)) throw PerennialException.Failed($"{folder}: rank {rank} has not written its part of save '{save}'");
            var report = UniversalJson.Read<ShardReport>(path);
            if (report.Save != save) throw PerennialException.Failed($"{path}: belongs to save '{report.Save}', not to '{save}'");
            if (!report.LayoutHashes.SequenceEqual(hashes) || report.Evidence.Rank != rank || report.ChunkBytes != (reports.Count > 0 ? reports[0].ChunkBytes : report.ChunkBytes)) throw PerennialException.Failed($"{path}: was written under another layout or chunk size");
            reports.Add(report);
        }
        var summary = StateSummary.Of(layout, [.. reports.Select(report => report.Evidence)], frozen);
        var stored = StoredLayout.Duty(layout);
        var slots = layout.Slots.Zip(stored.Slots, (live, file) => new UniversalSlot(live.Slot, live.Layout, file.Layout));
        var manifest = new UniversalManifest(UniversalManifest.CurrentFormat, save, layout.Shape.ToString(), reports[0].ChunkBytes, [.. slots], [.. reports.Select(report => report.File)], summary, canary);
        manifest.Write(folder);
        for (var rank = 0; rank < layout.Ranks; rank++) File.Delete(ReportPath(folder, rank));
        return manifest;
    }

    private static string ReportPath(string folder, int rank) => Path.Combine(folder, $"rank-{rank.ToString("d4", CultureInfo.InvariantCulture)}.json");
}
