using System.Diagnostics;
using System.Runtime.InteropServices;
using Perennial.Core;

namespace Perennial.Resilience.Snapshots;

/// <summary>
/// A manager's checkpoints on disk, one at a time. A trainer orders the checkpoint of a step before that step is committed; from the commit on
/// nothing of it needs a trainer: the state is copied out of the slots (other nodes' slices come from their managers, lost ones from parity)
/// and written beside the training.
/// </summary>
/// <param name="host">The manager.</param>
internal sealed unsafe class HostCheckpoints(SnapshotHost host)
{
    /// <summary>The name of what managers begin in a run's folder of checkpoints.</summary>
    public const string Writer = "manager";

    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(5), MostWriting = TimeSpan.FromMinutes(10);
    private readonly object gate = new();
    private (UInt128 Hash, CheckpointForm Form)? known;
    private Job? job;

    /// <summary>Takes the form that orders name by its hash.</summary>
    public void Take(UInt128 hash, ReadOnlySpan<byte> encoded)
    {
        var form = CheckpointForm.Decode(encoded);
        lock (gate) known = (hash, form);
    }

    /// <summary>Takes an order; one that still waits for its commit is given up for it.</summary>
    public void Order(PersistOrder order)
    {
        var stores = Stores(order);
        if (stores.Count == 0) throw new SnapshotRefusedException(RefusalReason.NotFound, $"this manager keeps no slice of step {order.Step}");
        var inventories = stores.ConvertAll(store => store.Inventory());
        if (inventories.Exists(inventory => inventory.Epoch > order.Epoch)) throw new SnapshotRefusedException(RefusalReason.Fenced, $"epoch {order.Epoch} is over");
        lock (gate)
        {
            if (job is { Stage: PersistStage.Copying or PersistStage.Writing }) throw new SnapshotRefusedException(RefusalReason.Busy, $"the checkpoint of step {job.Order.Step} is still being written");
            if (known is not { } given || given.Hash != order.Form) throw new SnapshotRefusedException(RefusalReason.NotFound, "the form of this checkpoint is not known here");
            if (job is { Stage: PersistStage.Ordered }) Tell(job, PersistStage.Lost, "another order came before the step was committed");
            job = new Job(order, given.Form);
        }
        // Whoever decides may have been faster.
        if (inventories.Find(inventory => inventory.StateOf(SlotKind.Data, order.Step) == SlotState.Committed) is { } early) Committed(early.Rank, order.Step);
    }

    /// <summary>A step of a slice was committed: what was ordered of it begins. Its slots stay from here on until they are copied.</summary>
    public void Committed(int rank, long step)
    {
        lock (gate)
        {
            if (job is not { Stage: PersistStage.Ordered } due || due.Order.Step != step || SnapshotSlices.TagOf(rank) != due.Order.Tag) return;
            try
            {
                // A commit means that every slice is prepared, whether or not it has heard of the commit.
                foreach (var store in Stores(due.Order)) due.Leases[store.Rank] = store.Pin(SlotKind.Data, step);
            }
            catch (SnapshotRefusedException refused)
            {
                due.Release();
                Tell(due, PersistStage.Lost, refused.Message);
                return;
            }
            Tell(due, PersistStage.Copying, "");
            host.Run($"checkpoint of step {step}", () => Write(due));
        }
    }

    /// <summary>How far the order for a step is; waits a little for news.</summary>
    /// <param name="step">The step.</param>
    /// <param name="stage">What the asker knows.</param>
    /// <param name="withdraw">Whether the order is given up where the step is still not committed then.</param>
    /// <param name="patience">How long to wait.</param>
    public PersistReport Await(long step, PersistStage stage, bool withdraw, TimeSpan patience)
    {
        var start = Stopwatch.GetTimestamp();
        lock (gate)
        {
            if (job is not { } asked || asked.Order.Step != step) throw new SnapshotRefusedException(RefusalReason.NotFound, $"no checkpoint of step {step} is on order");
            while (asked.Stage == stage && patience - Stopwatch.GetElapsedTime(start) is { Ticks: > 0 } left) Monitor.Wait(gate, left);
            if (withdraw && asked.Stage == PersistStage.Ordered) Tell(asked, PersistStage.Lost, $"the snapshot of step {step} was not committed");
            return new(asked.Stage, asked.Bytes, asked.Problem);
        }
    }

    /// <summary>Returns when nothing is being written any more.</summary>
    public void Finish()
    {
        var start = Stopwatch.GetTimestamp();
        lock (gate)
            while (job is { Stage: PersistStage.Copying or PersistStage.Writing } && MostWriting - Stopwatch.GetElapsedTime(start) is { Ticks: > 0 } left) Monitor.Wait(gate, left);
    }

    private List<RankStore> Stores(PersistOrder order) => [.. host.Stores().Where(store => SnapshotSlices.TagOf(store.Rank) == order.Tag)];

    private void Write(Job due)
    {
        var (order, form) = (due.Order, due.Form);
        byte* state = null;
        try
        {
            try
            {
                state = Copied(due);
            }
            finally
            {
                due.Release();
            }
            if (state is null) return;
            Tell(due, PersistStage.Writing, "");
            var store = new CheckpointStore(form.Root, Writer);
            var newest = store.List() is [var first, ..] ? first.Step : -1;
            due.Bytes = store.Write(order.Step, folder =>
            {
                form.Write((nint)state, folder);
                // Trainers that took this manager for lost have written a later one; an older one would displace it.
                if (store.List() is [var now, ..] && now.Step > newest && now.Step > order.Step) throw new IOException($"step {now.Step} was written meanwhile.");
            }, form.Keep, order.Pinned).Bytes;
            Tell(due, PersistStage.Written, "");
        }
        catch (Exception error)
        {
            // Whatever goes wrong with a disk, the manager lives on.
            Tell(due, state is null ? PersistStage.Lost : PersistStage.Failed, error.Message);
        }
        finally
        {
            NativeMemory.Free(state);
        }
    }

    /// <summary>The state in memory of its own, which the caller frees; null, with the reason told, where it cannot be had.</summary>
    private byte* Copied(Job due)
    {
        var order = due.Order;
        if (order.StateBytes != due.Form.StateBytes) throw new ArgumentException($"the form is of {due.Form.StateBytes} bytes, the state has {order.StateBytes}");
        var restore = new SlicedRestore(host.RunId, order.Managers, Timeout) { Own = rank => due.Leases.GetValueOrDefault(rank)?.Memory };
        var found = FoundSnapshot.Among(restore.Gather(TimeSpan.Zero), order.StateBytes, bytes => bytes == order.SliceBytes ? order.LayoutHash : ~order.LayoutHash)
            .FirstOrDefault(snapshot => snapshot.Tag == order.Tag && snapshot.SliceBytes == order.SliceBytes);
        if (found is null)
        {
            Tell(due, PersistStage.Lost, "no manager has a slice of it any more");
            return null;
        }
        var state = (byte*)NativeMemory.Alloc((nuint)(found.SliceBytes * found.Slices.Count));
        var isWhole = false;
        try
        {
            isWhole = restore.Copy(found, order.Step, (nint)state) is not null;
            if (isWhole) return state;
            Tell(due, PersistStage.Lost, restore.Lines is [.., var last] ? last : "a slice is lost");
            return null;
        }
        finally
        {
            if (!isWhole) NativeMemory.Free(state);
        }
    }

    private void Tell(Job of, PersistStage stage, string problem)
    {
        lock (gate)
        {
            (of.Stage, of.Problem) = (stage, problem);
            Monitor.PulseAll(gate);
        }
    }

    /// <summary>An order under way.</summary>
    private sealed class Job(PersistOrder order, CheckpointForm form)
    {
        public PersistOrder Order { get; } = order;

        public CheckpointForm Form { get; } = form;

        /// <summary>This manager's own slices while they are copied.</summary>
        public Dictionary<int, SlotLease> Leases { get; } = [];

        public PersistStage Stage { get; set; } = PersistStage.Ordered;

        public long Bytes { get; set; }

        public string Problem { get; set; } = "";

        public void Release()
        {
            foreach (var lease in Leases.Values) lease.Dispose();
            Leases.Clear();
        }
    }
}
