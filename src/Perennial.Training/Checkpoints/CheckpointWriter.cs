using System.Diagnostics;
using Perennial.Core;
using Perennial.Resilience;
using Perennial.Resilience.Snapshots;
using Perennial.Training.Loop;
using Perennial.Training.Memory;
using Perennial.Training.State;

namespace Perennial.Training.Checkpoints;

/// <summary>
/// Writes checkpoints beside the training: the state is copied, the loop goes on, one background thread writes the copy. There is
/// one copy; a checkpoint that comes due while the last is still being written waits for it. Where snapshots are kept in memory a manager
/// copies and writes (<see cref="Order"/>), so that the checkpoint does not need this process.
/// </summary>
internal sealed class CheckpointWriter : IDisposable
{
    private readonly RunParts parts;
    private readonly CheckpointStore store;
    private readonly IReadOnlyList<(string Slot, string Name)> exports;
    private StateSnapshot? copy;
    private EncodedForm? form;
    private CheckpointOrder? order;
    private Task<CheckpointWritten?>? writing;

    public CheckpointWriter(RunParts parts, CheckpointStore store, long durableStep)
    {
        (this.parts, this.store, DurableStep) = (parts, store, durableStep);
        exports = [.. parts.Practices.SelectMany((practice, i) => practice.Exports.Select(export =>
            ($"practice-{i}.{practice.Slots.Single(slot => ReferenceEquals(slot.Values, export.Values) || slot.Name == export.Name).Name}", export.Name)))];
    }

    /// <summary>Whether managers can write what this run's checkpoints hold: nothing of it is computed.</summary>
    private bool IsForManagers => parts.Model.Map is null && parts.Optimizer.Derived is null;

    /// <summary>Whether an ordered checkpoint did not come about, through no fault of the disk, and no other was begun since: one is due still.</summary>
    public bool IsMissed { get; private set; }

    /// <summary>Step of the newest durable checkpoint; -1 before the first.</summary>
    public long DurableStep { get; private set; }

    /// <summary>
    /// Orders the checkpoint of the present step of a snapshot manager, before the step's snapshot is begun. No earlier write may be under way.
    /// False where this process must write it (<see cref="Begin"/>): no manager can or does, or the last one did not come to it.
    /// </summary>
    public bool Order(MemorySnapshots memory, StateBytes bytes)
    {
        if (!IsForManagers || IsMissed) return false;
        var clock = Stopwatch.GetTimestamp();
        try
        {
            form ??= CheckpointFiles.Form(store.Root, parts.Recipe.Resilience.Keep, parts.State, bytes, parts.Config, parts.Data.Tokenizer, exports).Encode();
        }
        catch (Exception error) when (FileErrors.Is(error))
        {
            // The temporary folder is full; what follows from a full disk is decided where checkpoints are written.
            return false;
        }
        if (memory.Order(form, bytes.Count, parts.TrunkStep) is not { } placed) return false;
        order = placed;
        writing = placed.Ended.ContinueWith(ended => Written(placed, ended.Result, clock), CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
        return true;
    }

    /// <summary>Copies the state and starts writing; waits for an earlier write first. Returns events of finished writes.</summary>
    /// <exception cref="PerennialException">Exit 1: an earlier write failed.</exception>
    public IEnumerable<CheckpointWritten> Begin()
    {
        if (Finish() is { } earlier) yield return earlier;
        IsMissed = false;
        copy ??= new StateSnapshot(parts.State);
        copy.Take(parts.State);
        var (taken, step, clock, pinned) = (copy, parts.State.Progress.Step, Stopwatch.GetTimestamp(), parts.TrunkStep);
        writing = Task.Run(() =>
        {
            var (folder, bytes) = store.Write(step, target => CheckpointFiles.Write(target, taken, parts.Config, parts.Data.Tokenizer, exports, parts.Model.Map, parts.Optimizer.Derived), parts.Recipe.Resilience.Keep, pinned);
            return (CheckpointWritten?)new CheckpointWritten(step, folder, bytes, Stopwatch.GetElapsedTime(clock).TotalSeconds);
        });
    }

    /// <summary>The event of a write that has finished by now, or null.</summary>
    /// <exception cref="PerennialException">Exit 1: it failed.</exception>
    public CheckpointWritten? Poll()
    {
        // Asked after the next step: what was ordered is committed by now, or will not be.
        order?.Withdraw();
        return writing is { IsCompleted: true } ? Finish() : null;
    }

    /// <summary>Waits for the write under way; null where there is none, or where it did not come about (<see cref="IsMissed"/>).</summary>
    /// <exception cref="PerennialException">Exit 1: it failed.</exception>
    public CheckpointWritten? Finish()
    {
        if (writing is null) return null;
        try
        {
            order?.Withdraw();
            if (writing.GetAwaiter().GetResult() is { } written)
            {
                DurableStep = written.Step;
                return written;
            }
            IsMissed = true;
            return null;
        }
        catch (Exception error) when (FileErrors.Is(error))
        {
            throw PerennialException.Failed($"{store.Root}: the checkpoint could not be written: {error.Message} Older checkpoints are intact; make room, then run the same command again", error);
        }
        finally
        {
            (writing, order) = (null, null);
        }
    }

    public void Dispose()
    {
        try
        {
            // A manager comes to its end alone.
            if (order is null) writing?.Wait();
        }
        catch (AggregateException)
        {
            // The run is ending by another error; that one is told.
        }
        copy?.Dispose();
    }

    private CheckpointWritten? Written(CheckpointOrder placed, PersistReport report, long clock) => report.Stage switch
    {
        PersistStage.Written => new CheckpointWritten(placed.Step, store.FolderOf(placed.Step), report.Bytes, Stopwatch.GetElapsedTime(clock).TotalSeconds) { Manager = placed.Manager },
        PersistStage.Failed => throw new IOException(report.Problem),
        _ => null,
    };
}
