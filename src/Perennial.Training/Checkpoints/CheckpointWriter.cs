using System.Diagnostics;
using Perennial.Core;
using Perennial.Resilience;
using Perennial.Training.Loop;
using Perennial.Training.State;

namespace Perennial.Training.Checkpoints;

/// <summary>
/// Writes checkpoints beside the training: the state is copied, the loop goes on, one background thread writes the copy. There is
/// one copy; a checkpoint that comes due while the last is still being written waits for it.
/// </summary>
internal sealed class CheckpointWriter : IDisposable
{
    private readonly RunParts parts;
    private readonly CheckpointStore store;
    private readonly IReadOnlyList<(string Slot, string Name)> exports;
    private StateSnapshot? copy;
    private Task<CheckpointWritten>? writing;

    public CheckpointWriter(RunParts parts, CheckpointStore store, long durableStep)
    {
        (this.parts, this.store, DurableStep) = (parts, store, durableStep);
        exports = [.. parts.Practices.SelectMany((practice, i) => practice.Exports.Select(export =>
            ($"practice-{i}.{practice.Slots.Single(slot => ReferenceEquals(slot.Values, export.Values) || slot.Name == export.Name).Name}", export.Name)))];
    }

    /// <summary>Step of the newest durable checkpoint; -1 before the first.</summary>
    public long DurableStep { get; private set; }

    /// <summary>Copies the state and starts writing; waits for an earlier write first. Returns events of finished writes.</summary>
    /// <exception cref="PerennialException">Exit 1: an earlier write failed.</exception>
    public IEnumerable<CheckpointWritten> Begin()
    {
        if (Finish() is { } earlier) yield return earlier;
        copy ??= new StateSnapshot(parts.State);
        copy.Take(parts.State);
        var (taken, step, clock, pinned) = (copy, parts.State.Progress.Step, Stopwatch.GetTimestamp(), parts.TrunkStep);
        writing = Task.Run(() =>
        {
            var (folder, bytes) = store.Write(step, target => CheckpointFiles.Write(target, taken, parts.Config, parts.Data.Tokenizer, exports, parts.Model.Map, parts.Optimizer.Derived), parts.Recipe.Resilience.Keep, pinned);
            return new CheckpointWritten(step, folder, bytes, Stopwatch.GetElapsedTime(clock).TotalSeconds);
        });
    }

    /// <summary>The event of a write that has finished by now, or null.</summary>
    /// <exception cref="PerennialException">Exit 1: it failed.</exception>
    public CheckpointWritten? Poll() => writing is { IsCompleted: true } ? Finish() : null;

    /// <summary>Waits for the write under way.</summary>
    /// <exception cref="PerennialException">Exit 1: it failed.</exception>
    public CheckpointWritten? Finish()
    {
        if (writing is null) return null;
        try
        {
            var written = writing.GetAwaiter().GetResult();
            DurableStep = written.Step;
            return written;
        }
        catch (Exception error) when (FileErrors.Is(error))
        {
            throw PerennialException.Failed($"{store.Root}: the checkpoint could not be written: {error.Message} Older checkpoints are intact; make room, then run the same command again", error);
        }
        finally
        {
            writing = null;
        }
    }

    public void Dispose()
    {
        try
        {
            writing?.Wait();
        }
        catch (AggregateException)
        {
            // The run is ending by another error; that one is told.
        }
        copy?.Dispose();
    }
}
