using System.Diagnostics;
using System.Globalization;
using System.IO.Hashing;
using System.Runtime.InteropServices;
using System.Text;
using Perennial.Resilience.Snapshots;
using Perennial.Tensors;
using Perennial.Training.State;
using TorchSharp;

namespace Perennial.Training.Memory;

/// <summary>Where a run keeps its newest state outside its trainers.</summary>
/// <param name="RunId">The run; memory of another run is never taken for this one's.</param>
/// <param name="Manager">The snapshot manager.</param>
public sealed record MemorySettings(Guid RunId, SnapshotEndpoint Manager);

/// <summary>
/// Copies the whole training state into a snapshot manager's memory after every step, beside the next step's forward and backward, and gives
/// it back to a process that starts with less. The leader does it: with replicas everyone has the whole state, so one copy is enough.
/// </summary>
/// <param name="settings">Where to.</param>
/// <param name="state">The state.</param>
/// <param name="alarm">Takes what goes wrong and training survives.</param>
internal sealed unsafe class MemorySnapshots(MemorySettings settings, TrainingState state, Action<string> alarm) : IDisposable
{
    private const int ProgressRoom = 1 << 20;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);
    private readonly byte* progress = (byte*)NativeMemory.AllocZeroed(ProgressRoom);
    private readonly ShardingGroup group = new([0], 0);
    private readonly Dictionary<int, SnapshotEndpoint> managers = new() { [0] = settings.Manager };
    private SnapshotAgent? agent;
    private GroupCommit? coordinator;
    private Task committing = Task.CompletedTask;
    private CancellationTokenSource leaving = new();

    /// <summary>Seconds that optimizer steps waited for copies, and snapshots begun and skipped.</summary>
    public (double Stall, long Taken, long Skipped) Account { get; private set; }

    private IEnumerable<torch.Tensor> Buffers => state.Slots.Select(slot => slot.Values).Prepend(state.Parameters.Values);

    private long StateBytes => Buffers.Sum(buffer => buffer.NumberOfElements * buffer.ElementSize);

    private SlotIdentity Identity => new(settings.RunId, 0, LayoutHash(), StateBytes + ProgressRoom, 1, 0, 0);

    /// <summary>Takes the newest whole snapshot if it is newer than the state; says how, or null.</summary>
    public string? Restore()
    {
        var clock = Stopwatch.GetTimestamp();
        var epoch = NewEpoch();
        long step;
        using (var chooser = new GroupCommit(settings.RunId, epoch, [group], managers, Patience))
        {
            var choice = chooser.Choose(TimeSpan.FromSeconds(2));
            if (choice.Step is not { } found || found <= state.Progress.Step) return null;
            foreach (var problem in chooser.Recover(choice)) alarm(problem);
            step = found;
        }
        Attach(epoch, step);
        var identity = Identity;
        var buffer = (byte*)NativeMemory.Alloc((nuint)identity.Bytes);
        try
        {
            var report = new SnapshotRestore(identity, group, managers, Patience).Run(step, agent, (nint)buffer);
            if (report.Source == RestoreSource.Disk)
            {
                foreach (var line in report.Lines) alarm(line);
                return null;
            }
            var at = buffer;
            foreach (var values in Buffers)
            {
                var bytes = values.NumberOfElements * values.ElementSize;
                Buffer.MemoryCopy(at, (void*)TensorMemory.Pointer(values), bytes, bytes);
                at += bytes;
            }
            state.Progress = ProgressJson.Read(Encoding.UTF8.GetString(at + sizeof(int), *(int*)at), "the snapshot in memory");
            return string.Create(CultureInfo.InvariantCulture, $"resuming from memory at step {step} ({RestoreChoice.Name(report.Source)}, {Stopwatch.GetElapsedTime(clock).TotalMilliseconds:F0} ms); no checkpoint was read");
        }
        finally
        {
            NativeMemory.Free(buffer);
        }
    }

    /// <summary>Begins to take snapshots; whoever took them before is shut out.</summary>
    public void Lead()
    {
        if (agent is null) Attach(NewEpoch(), state.Progress.Step);
    }

    /// <summary>Starts the copy of the present step. One that cannot keep up is skipped.</summary>
    public void Offer()
    {
        if (agent is null) return;
        if (!committing.IsCompleted || !WriteProgress())
        {
            Account = Account with { Skipped = Account.Skipped + 1 };
            return;
        }
        var step = state.Progress.Step;
        List<StateRange> ranges = [.. Buffers.Select(values => new StateRange(TensorMemory.Pointer(values), values.NumberOfElements * values.ElementSize)), new StateRange((nint)progress, ProgressRoom)];
        var offer = agent.Offer(step, ranges);
        Account = offer.Started ? Account with { Taken = Account.Taken + 1 } : Account with { Skipped = Account.Skipped + 1 };
        if (!offer.Started) return;
        var (copying, deciding, left) = (agent, coordinator!, leaving.Token);
        committing = Task.Run(() =>
        {
            copying.WaitCopied();
            if (deciding.Commit(step, Patience, left) is { Outcome: not CommitOutcome.Committed } failed) alarm($"the snapshot of step {step} was not committed: {failed.Reason}");
        });
    }

    /// <summary>Returns when the state may change.</summary>
    public void WaitCopied()
    {
        if (agent is not null) Account = Account with { Stall = Account.Stall + agent.WaitCopied().TotalSeconds };
    }

    /// <summary>Leaves the memory to another process.</summary>
    public void Leave()
    {
        WaitCopied();
        // A process that was shut out waits for nobody's decision; one that ends well has had its last snapshot decided or does not need it.
        leaving.Cancel();
        try
        {
            committing.Wait();
        }
        catch (AggregateException broken) when (broken.InnerExceptions.All(error => error is OperationCanceledException or IOException or SnapshotRefusedException))
        {
            // The next leader reads what stands from the manager.
        }
        committing = Task.CompletedTask;
        leaving.Dispose();
        leaving = new CancellationTokenSource();
        agent?.Dispose();
        coordinator?.Dispose();
        (agent, coordinator) = (null, null);
    }

    /// <summary>The run is done and on disk: the memory is not needed any more.</summary>
    public void Retire()
    {
        Leave();
        try
        {
            using var client = SnapshotClient.Connect(settings.Manager, settings.RunId, Patience);
            client.Retire(-1);
        }
        catch (IOException error)
        {
            alarm($"the snapshot manager did not hear that the run is done: {error.Message}");
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Leave();
        leaving.Dispose();
        NativeMemory.Free(progress);
    }

    private void Attach(ulong epoch, long step)
    {
        agent = SnapshotAgent.Attach(new SnapshotAgentOptions { Identity = Identity, Epoch = epoch, Manager = settings.Manager, Restored = step, OnAlarm = alarm });
        coordinator = new GroupCommit(settings.RunId, epoch, [group], managers, Patience);
    }

    // Later attachments shut earlier ones out, whatever process they are of.
    private static ulong NewEpoch() => (ulong)DateTimeOffset.UtcNow.ToUnixTimeMilliseconds();

    private bool WriteProgress()
    {
        var json = Encoding.UTF8.GetBytes(ProgressJson.Write(state.Progress));
        if (json.Length > ProgressRoom - sizeof(int)) return false;
        *(int*)progress = json.Length;
        json.CopyTo(new Span<byte>(progress + sizeof(int), json.Length));
        return true;
    }

    private ulong LayoutHash()
    {
        var names = string.Join('\n', state.Parameters.Layout.Entries.Select(entry => $"{entry.Name} {string.Join('x', entry.Shape)}").Concat(state.Slots.Select(slot => $"{slot.Name} {slot.Values.dtype} {slot.Values.NumberOfElements}")));
        return XxHash3.HashToUInt64(Encoding.UTF8.GetBytes(names));
    }
}
