using System.Diagnostics;
using Perennial.Core;

namespace Perennial.Resilience.Snapshots;

/// <summary>
/// The trainer's side of snapshots. <see cref="Offer"/> after an optimizer step starts the copy in the background and returns at once (or, with
/// <see cref="SnapshotAgentOptions.Team"/>, makes it there and then); the state must not change until <see cref="WaitCopied"/> has returned,
/// before the next optimizer step. The time that both calls take is the stall.
/// The death of the manager never stops training: snapshots are skipped until a new one answers.
/// </summary>
public sealed class SnapshotAgent : IDisposable
{
    private readonly SnapshotAgentOptions options;
    private readonly Lock gate = new();
    private readonly AutoResetEvent work = new(false);
    private readonly ManualResetEventSlim idle = new(true);
    private readonly ManualResetEvent stopping = new(false);
    private readonly Thread copier, heart;
    private readonly long killsBefore;
    private Attachment? attachment;
    private CopyJob? job;
    private long encoded = -1;
    private bool disposed;

    private SnapshotAgent(SnapshotAgentOptions options, Attachment attachment)
    {
        (this.options, this.attachment) = (options, attachment);
        BucketBytes = options.BucketBytes;
        killsBefore = options.MemoryKills();
        copier = new Thread(CopyLoop) { IsBackground = true, Name = "snapshot copy" };
        heart = new Thread(Beat) { IsBackground = true, Name = "snapshot heartbeat" };
        copier.Start();
        heart.Start();
    }

    /// <summary>Bytes of a bucket from the next snapshot on.</summary>
    public long BucketBytes { get; set; }

    /// <summary>Whether a manager holds this rank's memory, as far as is known.</summary>
    public bool IsAttached
    {
        get
        {
            lock (gate) return attachment is not null;
        }
    }

    /// <summary>The newest committed step in this rank's memory; −1 if none.</summary>
    public long CommittedStep
    {
        get
        {
            lock (gate)
            {
                if (attachment is null) return -1;
                var slots = Enumerable.Range(0, 2).Select(slot => attachment.Memory.Slot(SlotKind.Data, slot)).Where(slot => slot.State == SlotState.Committed);
                return slots.Select(slot => slot.Step).DefaultIfEmpty(-1).Max();
            }
        }
    }

    /// <summary>Whether nothing is under way: no copy, and no step that waits for its commit. True without a manager: nothing will come.</summary>
    public bool IsSettled
    {
        get
        {
            lock (gate)
            {
                if (job is not null) return false;
                return attachment is null || Enumerable.Range(0, 2).All(slot => attachment.Memory.Slot(SlotKind.Data, slot).State is not (SlotState.Writing or SlotState.Prepared));
            }
        }
    }

    /// <summary>Takes the rank.</summary>
    /// <exception cref="PerennialException">Exit 4: too little memory. Exit 1: the manager cannot be reached or refuses.</exception>
    public static SnapshotAgent Attach(SnapshotAgentOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        try
        {
            return new(options, Attachment.OpenPatiently(options));
        }
        catch (SnapshotRefusedException refused)
        {
            throw refused.Reason == RefusalReason.NoRoom ? PerennialException.Missing(refused.Message, refused) : PerennialException.Failed(refused.Message, refused);
        }
        catch (IOException error)
        {
            throw PerennialException.Failed($"the snapshot manager cannot be used: {error.Message}", error);
        }
    }

    /// <summary>
    /// Starts the snapshot of a step, or says why not: one that cannot keep up is skipped, never queued. All ranks of a run must take the same
    /// steps, so let them agree first where one may have to skip; a coordinator gives a step up that not all took (<see cref="Decline"/> spares it the wait).
    /// </summary>
    /// <param name="step">The optimizer step just done.</param>
    /// <param name="state">The rank's slice of the state, in order; at most the identity's bytes in all. The rest is filled with zeros.</param>
    /// <exception cref="SnapshotRefusedException">Reason <see cref="RefusalReason.Fenced"/>: another trainer has this rank, and this one must stop.</exception>
    public SnapshotOffer Offer(long step, IReadOnlyList<StateRange> state)
    {
        ArgumentNullException.ThrowIfNull(state);
        if (state.Sum(range => range.Bytes) > options.Identity.Bytes) throw new ArgumentException("the state is larger than its slot", nameof(state));
        lock (gate)
        {
            ObjectDisposedException.ThrowIf(disposed, this);
            if (job is not null) return new(false, $"step {job.Message.Step} is still being copied");
            if (attachment is null && !TryAttach(out var problem)) return new(false, problem);
            var memory = attachment!.Memory;
            try
            {
                for (var each = 0; each < 2; each++)
                    if (memory.Slot(SlotKind.Data, each) is { State: SlotState.Writing or SlotState.Prepared } open)
                    {
                        EncodeLate(open.Step);
                        return new(false, $"step {open.Step} is not committed yet");
                    }
                var newest = memory.Newest();
                var slot = newest < 0 ? 0 : 1 - newest;
                var bucket = SlotIdentity.FittingBucket(BucketBytes, options.Identity.DataCapacity);
                var message = new StepMessage(options.Identity.Rank, options.Epoch, step);
                attachment.Client.Begin(message, slot, bucket);
                job = new(attachment, message, slot, bucket, state);
            }
            catch (SnapshotRefusedException refused) when (refused.Reason != RefusalReason.Fenced)
            {
                return new(false, refused.Message);
            }
            catch (IOException error)
            {
                Lose(error);
                return new(false, "the snapshot manager is gone: " + error.Message);
            }
            idle.Reset();
            if (options.Team is null && options.Identity.DataCapacity > options.InlineBytes)
            {
                work.Set();
                return new(true, "");
            }
        }
        Copy(job);
        return new(true, "");
    }

    /// <summary>Tells that this rank does not take a step that others may have begun: the coordinator then gives it up at once instead of waiting for it.</summary>
    /// <param name="step">The step.</param>
    public void Decline(long step)
    {
        lock (gate)
        {
            if (attachment is null) return;
            try
            {
                attachment.Client.Abort(options.Identity.Rank, options.Epoch, step, onlyUnprepared: true);
            }
            catch (SnapshotRefusedException)
            {
                // Another trainer has the rank: its word counts.
            }
            catch (IOException error)
            {
                Lose(error);
            }
        }
    }

    /// <summary>Waits until the state may change again.</summary>
    /// <returns>How long that took: the stall.</returns>
    public TimeSpan WaitCopied()
    {
        var start = Stopwatch.GetTimestamp();
        idle.Wait();
        return Stopwatch.GetElapsedTime(start);
    }

    /// <summary>
    /// With parity lag 1: asks for the parity of the last copied step. <see cref="Offer"/> does so too; a trainer that offers rarely calls this at the next step.
    /// </summary>
    public void EncodeLate()
    {
        lock (gate)
        {
            if (attachment is null || job is not null) return;
            try
            {
                for (var slot = 0; slot < 2; slot++)
                {
                    // Prepared too: a peer's share may have come before this rank sends its own.
                    if (attachment.Memory.Slot(SlotKind.Data, slot) is { State: SlotState.Writing or SlotState.Prepared } open) EncodeLate(open.Step);
                }
            }
            catch (IOException error)
            {
                Lose(error);
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (gate)
        {
            if (disposed) return;
            disposed = true;
            // Breaks the connection, which ends a copy under way at its next bucket.
            attachment?.Client.Dispose();
        }
        stopping.Set();
        work.Set();
        copier.Join();
        heart.Join();
        lock (gate) attachment?.Dispose();
        work.Dispose();
        idle.Dispose();
        stopping.Dispose();
    }

    /// <summary>A mapping of the rank's memory of the caller's own; null where no manager holds any.</summary>
    internal SharedSlot? OpenMemory()
    {
        lock (gate) return attachment is null ? null : SharedSlot.TryOpen(attachment.Memory.Folder, options.Identity.Rank, options.Identity.RunId, out _);
    }

    private void EncodeLate(long step)
    {
        if (options.Group is not { Lag: 1 } || encoded == step) return;
        try
        {
            attachment!.Client.Encode(options.Identity.Rank, options.Epoch, step);
            encoded = step;
        }
        catch (SnapshotRefusedException refused) when (refused.Reason == RefusalReason.NotFound)
        {
            // The step was given up meanwhile.
        }
    }

    private bool TryAttach(out string problem)
    {
        problem = "";
        try
        {
            attachment = Attachment.Open(options with { Timeout = TimeSpan.FromSeconds(1) });
            return true;
        }
        catch (Exception error) when (error is IOException or SnapshotRefusedException { Reason: not RefusalReason.Fenced })
        {
            problem = "the snapshot manager is gone: " + error.Message;
            return false;
        }
    }

    private void Lose(IOException error)
    {
        attachment?.Dispose();
        attachment = null;
        if (disposed) return;
        var kills = options.MemoryKills() - killsBefore;
        options.OnAlarm?.Invoke($"the snapshot manager of {SnapshotSlices.NameOf(options.Identity.Rank)} is gone ({error.Message}){(kills > 0 ? "; the kernel has killed a process for want of memory" : "")}; the group is unprotected until its next commit");
    }

    private void CopyLoop()
    {
        ThreadNiceness.Set(options.Niceness);
        while (true)
        {
            work.WaitOne();
            CopyJob? current;
            lock (gate)
            {
                if (disposed && job is null) return;
                current = job;
            }
            if (current is null) continue;
            Copy(current);
            if (stopping.WaitOne(0)) return;
        }
    }

    private void Copy(CopyJob current)
    {
        try
        {
            if (options.Team is { } team) current.Run(team, options.OnBucket);
            else current.Run(options.BytesPerSecond, options.OnBucket);
        }
        catch (SnapshotRefusedException refused)
        {
            options.OnAlarm?.Invoke($"the snapshot of step {current.Message.Step} was given up: {refused.Message}");
        }
        catch (IOException error)
        {
            lock (gate) Lose(error);
        }
        finally
        {
            lock (gate) job = null;
            idle.Set();
        }
    }

    private void Beat()
    {
        do
        {
            lock (gate)
            {
                if (disposed) return;
                if (attachment is not null)
                {
                    var header = attachment.Memory.Header;
                    header.Heartbeat = (ulong)options.Time.GetTimestamp();
                }
            }
        }
        while (!stopping.WaitOne(options.Heartbeat));
    }
}
