using Perennial.Core;
using Perennial.Resilience.Groups;
using Perennial.Resilience.Layouts;
using Perennial.Resilience.Plans;

namespace Perennial.Resilience.Universal;

/// <summary>What a load did.</summary>
/// <param name="BytesNeeded">Bytes that went into the buffers.</param>
/// <param name="BytesRead">Bytes of the chunks that were read and checked for that.</param>
/// <param name="FilesOpened">Files touched.</param>
/// <param name="Ledgers">What was filled, by slot; the transition gate wants them.</param>
public sealed record UniversalLoad(long BytesNeeded, long BytesRead, int FilesOpened, IReadOnlyDictionary<string, FillLedger> Ledgers);

/// <summary>A universal checkpoint, open for reading: any rank of any layout takes from the files what it needs and nothing more.</summary>
public sealed class UniversalCheckpoint : IDisposable
{
    private readonly Dictionary<int, CheckedFile> files = [];

    private UniversalCheckpoint(string folder, UniversalManifest manifest) => (Folder, Manifest) = (folder, manifest);

    /// <summary>Its folder.</summary>
    public string Folder { get; }

    /// <summary>Its manifest.</summary>
    public UniversalManifest Manifest { get; }

    /// <summary>Opens a checkpoint; only the manifest is read.</summary>
    /// <exception cref="PerennialException">Exit 3: no manifest, a damaged one, or one of another format.</exception>
    public static UniversalCheckpoint Open(string folder) => new(folder, UniversalManifest.Read(folder));

    /// <summary>Fills one rank's buffers: only the byte ranges it needs are read, and the chunks they lie in are checked first.</summary>
    /// <param name="target">The layout to load into.</param>
    /// <param name="rank">The rank.</param>
    /// <param name="buffers">Its buffer of each slot; cleared first.</param>
    /// <param name="group">
    /// The ranks of <paramref name="target"/>, all of which load at once: slots of which they would read the same bytes again and again are read
    /// once by all together (<see cref="SharedRead"/>). Null for a rank by itself.
    /// </param>
    /// <exception cref="PerennialException">Exit 2: the checkpoint is of another model. Exit 3: a file is missing or damaged.</exception>
    /// <exception cref="CommunicatorException">The group broke.</exception>
    public UniversalLoad Load(StateLayout target, int rank, IReadOnlyDictionary<string, FlatBytes> buffers, ICommunicator? group = null)
    {
        ArgumentNullException.ThrowIfNull(target);
        ArgumentNullException.ThrowIfNull(buffers);
        var before = files.Values.Sum(file => file.BytesRead);
        var opened = new HashSet<int>();
        long needed = 0;
        var ledgers = new Dictionary<string, FillLedger>(StringComparer.Ordinal);
        foreach (var slot in target.Slots)
        {
            var name = slot.Slot.Name;
            buffers[name].Clear();
            ledgers[name] = new FillLedger();
            var shared = group is null ? null : SharedRead.Of(Entry(name), slot.Layout, Manifest.ChunkBytes);
            needed += shared is null ? ReadAlone(name, slot.Layout, rank, buffers[name], ledgers[name], opened) : ReadTogether(name, shared, group!, buffers[name], ledgers[name], opened);
        }
        return new(needed, files.Values.Sum(file => file.BytesRead) - before, opened.Count, ledgers);
    }

    /// <summary>What the transition gate expects after a load into <paramref name="target"/>: the manifest's summary, means computed from the files.</summary>
    /// <exception cref="PerennialException">Exit 3: a file is missing or damaged.</exception>
    public StateSummary Expected(StateLayout target)
    {
        ArgumentNullException.ThrowIfNull(target);
        return Manifest.Summary with { Slots = [.. Manifest.Summary.Slots.Select(slot => target.Find(slot.Slot.Name)?.Layout.HashText == slot.LayoutHash ? slot : WithMeans(slot))] };
    }

    /// <summary>Bytes of all files read through once, every checksum checked.</summary>
    /// <exception cref="PerennialException">Exit 3: the first fault found.</exception>
    public long Verify()
    {
        Concurrent.For(Manifest.Files.Count, Concurrent.Files, file =>
        {
            foreach (var slot in Manifest.Stored.Slots.Where(slot => slot.Layout.Ranks[file].Bytes > 0)) Checked(slot.Slot.Name, file, 0, slot.Layout.Ranks[file].Bytes, 1, 0);
        });
        return files.Values.Sum(file => file.BytesRead);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var file in files.Values) file.Dispose();
        files.Clear();
    }

    /// <summary>One logical tensor of a slot, to be read part after part.</summary>
    /// <exception cref="PerennialException">Exit 2: there is no such slot or tensor. Exit 3: a file is missing or damaged.</exception>
    public TensorReader Read(string slot, string tensor)
    {
        var entry = Entry(slot);
        var index = entry.Stored.IndexOf(tensor) ?? throw PerennialException.Usage($"{Folder}: slot '{slot}' has no tensor '{tensor}'");
        var logical = entry.Stored.Tensors[index];
        var whole = Layout.Of([logical], [new RankBuffer(logical.Bytes, [new LayoutRun(0, 0, 0, logical.Bytes)])]);
        var plan = TransferPlan.For(0, entry.Stored.Only(tensor), whole);
        foreach (var copy in plan.Copies) Checked(slot, copy.Source, copy.SourceOffset, copy.Length, copy.Count, copy.SourceStride);
        var summary = Manifest.Summary.Slots.First(other => other.Slot.Name == slot);
        if (summary.Averaged.ContainsKey(tensor)) summary = WithMeans(summary);
        return new(new CopyWindow(plan, file => File(file).Slot(slot)), summary.Tensors[tensor], logical.Bytes, logical.ElementBytes, $"{Folder}: slot '{slot}': tensor '{tensor}'");
    }

    /// <summary>The windows of a target rank's buffer; every chunk it reads is checked at once.</summary>
    internal CopyWindow Window(string slot, Layout target, int rank)
    {
        var plan = PlanFor(slot, target, rank);
        foreach (var mean in plan.Means)
            foreach (var source in mean.Sources) Checked(slot, source.Rank, source.Offset, mean.Length, mean.Count, source.Stride);
        foreach (var copy in plan.Copies) Checked(slot, copy.Source, copy.SourceOffset, copy.Length, copy.Count, copy.SourceStride);
        return new CopyWindow(plan, file => File(file).Slot(slot));
    }

    private long ReadAlone(string slot, Layout target, int rank, FlatBytes buffer, FillLedger ledger, HashSet<int> opened)
    {
        var plan = PlanFor(slot, target, rank);
        foreach (var copy in plan.Copies)
        {
            opened.Add(copy.Source);
            TransferRun.Copy(copy, Checked(slot, copy.Source, copy.SourceOffset, copy.Length, copy.Count, copy.SourceStride), buffer);
            ledger.Note(copy);
        }
        foreach (var mean in plan.Means)
        {
            foreach (var source in mean.Sources) Checked(slot, source.Rank, source.Offset, mean.Length, mean.Count, source.Stride);
            opened.UnionWith(mean.Sources.Select(source => source.Rank));
            TransferRun.Average(mean, file => File(file).Slot(slot), buffer);
            ledger.Note(new TransferCopy(rank, 0, rank, mean.TargetOffset, mean.Length, mean.Count, 0, mean.TargetStride));
        }
        return plan.Copies.Sum(copy => copy.Bytes) + plan.Means.Sum(mean => mean.Bytes * mean.Sources.Count);
    }

    private long ReadTogether(string slot, SharedRead read, ICommunicator group, FlatBytes buffer, FillLedger ledger, HashSet<int> opened)
    {
        read.Run(group, file =>
        {
            // A rank that had nothing of a slot has written nothing of it.
            if (read.Plan.From.Ranks[file].Bytes is not (> 0 and var bytes)) return FlatBytes.Of(Memory<byte>.Empty);
            opened.Add(file);
            return Checked(slot, file, 0, bytes, 1, 0);
        }, buffer, ledger.Note);
        return read.Plan.Copies.Where(copy => copy.Target == group.Rank).Sum(copy => copy.Bytes);
    }

    private TransferPlan PlanFor(string slot, Layout target, int rank)
    {
        var source = Entry(slot);
        // Into the layout it was saved from, every rank gets its own averaged values back.
        return TransferPlan.For(rank, source.Stored, target, new TransferOptions(Means: !target.Equals(source.Live)));
    }

    private UniversalSlot Entry(string slot) => Manifest.Slots.FirstOrDefault(entry => entry.Slot.Name == slot) ?? throw PerennialException.Usage($"{Folder}: the checkpoint has no slot '{slot}'");

    private SlotSummary WithMeans(SlotSummary slot)
    {
        if (slot.Averaged.Count == 0) return slot;
        var stored = Manifest.Slots.First(entry => entry.Slot.Name == slot.Slot.Name).Stored;
        var digests = slot.Tensors.ToDictionary();
        foreach (var name in slot.Averaged.Keys)
        {
            var tensor = stored.Tensors[stored.IndexOf(name)!.Value];
            var whole = Layout.Of([tensor], [new RankBuffer(tensor.Bytes, [new LayoutRun(0, 0, 0, tensor.Bytes)])]);
            var plan = TransferPlan.Between(stored.Only(name), whole);
            var bytes = new byte[tensor.Bytes];
            foreach (var copy in plan.Copies) TransferRun.Copy(copy, Checked(slot.Slot.Name, copy.Source, copy.SourceOffset, copy.Length, copy.Count, copy.SourceStride), FlatBytes.Of(bytes));
            foreach (var mean in plan.Means)
            {
                foreach (var source in mean.Sources) Checked(slot.Slot.Name, source.Rank, source.Offset, mean.Length, mean.Count, source.Stride);
                TransferRun.Average(mean, file => File(file).Slot(slot.Slot.Name), FlatBytes.Of(bytes));
            }
            digests[name] = ContentDigest.Of(bytes, tensor.ElementBytes, 0);
        }
        return slot with { Tensors = digests, Averaged = new Dictionary<string, IReadOnlyList<ContentDigest?>>() };
    }

    private FlatBytes Checked(string slot, int file, long offset, long length, long count, long stride)
    {
        var open = File(file);
        open.Check(slot, offset, length, count, stride);
        return open.Slot(slot);
    }

    private CheckedFile File(int index)
    {
        // Converters read from several threads.
        lock (files)
        {
            if (!files.TryGetValue(index, out var file)) files.Add(index, file = new CheckedFile(Folder, Manifest.Files[index], Manifest.Save, Manifest.ChunkBytes));
            return file;
        }
    }
}
