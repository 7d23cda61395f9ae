using System.Diagnostics;
using Perennial.Core;
using Perennial.Models.HuggingFace;
using Perennial.Resilience;
using Perennial.Resilience.Groups;
using Perennial.Resilience.Universal;
using Perennial.Training.Loop;
using Perennial.Training.Parallel;
using Perennial.Training.State;

namespace Perennial.Training.Checkpoints;

/// <summary>
/// Writes checkpoints beside the training, every rank its own file, nothing gathered: the state is copied, the loop goes on, a thread of
/// each rank writes. The leader's adds the model's description, waits for the others' reports, and makes the folder a checkpoint.
/// </summary>
internal sealed class ShardedCheckpointWriter : IDisposable
{
    private static readonly TimeSpan Glance = TimeSpan.FromMilliseconds(5), Patience = TimeSpan.FromMinutes(10);
    private readonly RunParts parts;
    private readonly ShardedState state;
    private readonly CheckpointStore store;
    private StateSnapshot? copy;
    private Task<CheckpointWritten?>? writing;
    private CancellationTokenSource? abandon;

    public ShardedCheckpointWriter(RunParts parts, ShardedState state, CheckpointStore store) => (this.parts, this.state, this.store) = (parts, state, store);

    /// <summary>Step of the newest durable checkpoint; -1 before the first.</summary>
    public long DurableStep { get; set; } = -1;

    /// <summary>Copies the state and starts writing; every rank calls it at the same step. Waits for an earlier write first.</summary>
    /// <returns>On the leader, what an earlier write came to, if it was not told yet.</returns>
    /// <exception cref="PerennialException">Exit 1: an earlier write failed.</exception>
    /// <exception cref="CommunicatorException">A rank was lost.</exception>
    public CheckpointWritten? Begin(ICommunicator world)
    {
        var earlier = Finish();
        var (step, clock) = (parts.State.Progress.Step, Stopwatch.GetTimestamp());
        if (world.Rank == 0) store.Begin(step);
        // The others write only once the folder is there; the name tells their files from those of an earlier attempt.
        var save = Convert.ToHexStringLower(GateExchange.Broadcast(world, world.Rank == 0 ? Guid.NewGuid().ToByteArray() : null, 0));
        copy ??= new StateSnapshot(parts.State);
        copy.Take(parts.State);
        abandon = new CancellationTokenSource();
        var (taken, token, pinned) = (copy, abandon.Token, parts.TrunkStep);
        DurableStep = step;
        writing = Task.Factory.StartNew(() => Write(taken, step, save, clock, pinned, token), token, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        return earlier;
    }

    /// <summary>The event of a write that has finished by now, or null.</summary>
    /// <exception cref="PerennialException">Exit 1: it failed.</exception>
    public CheckpointWritten? Poll() => writing is { IsCompleted: true } ? Finish() : null;

    /// <summary>Waits for the write under way; null where there is none, and on ranks that do not tell.</summary>
    /// <exception cref="PerennialException">Exit 1: it failed.</exception>
    public CheckpointWritten? Finish()
    {
        if (writing is null) return null;
        try
        {
            return writing.GetAwaiter().GetResult();
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

    /// <summary>Gives the write under way up: a rank was lost, its part will not come.</summary>
    public void Abandon()
    {
        abandon?.Cancel();
        try
        {
            writing?.Wait();
        }
        catch (AggregateException)
        {
            // What is half written is no checkpoint.
        }
        // A write that may not have come to its end counts as none.
        if (writing is not null) DurableStep = -1;
        writing = null;
    }

    public void Dispose()
    {
        Abandon();
        copy?.Dispose();
        abandon?.Dispose();
    }

    private CheckpointWritten? Write(StateSnapshot taken, long step, string save, long clock, long? pinned, CancellationToken token)
    {
        var (rank, temporary) = (state.Decoder.Rank, store.TemporaryOf(step));
        var record = ShardedCheckpoint.Record(taken.Progress!, parts.Recipe.Seed, parts.StreamFingerprint);
        UniversalWriter.WriteRank(temporary, save, state.Layout, rank, state.Buffers(taken.Parameters, taken.Slots), record);
        if (rank != 0) return null;
        ConfigJson.Write(parts.Config, temporary);
        parts.Data.Tokenizer.Save(temporary);
        AwaitReports(temporary, token);
        var manifest = UniversalWriter.Finish(temporary, save, state.Layout);
        var (folder, bytes) = store.Publish(step, parts.Recipe.Resilience.Keep, ShardedCheckpoint.Known(manifest), pinned);
        return new CheckpointWritten(step, folder, bytes, Stopwatch.GetElapsedTime(clock).TotalSeconds);
    }

    private void AwaitReports(string folder, CancellationToken token)
    {
        // Other processes tell by files.
        for (var clock = Stopwatch.StartNew(); !UniversalWriter.IsReported(folder, state.Layout.Ranks); token.WaitHandle.WaitOne(Glance))
        {
            token.ThrowIfCancellationRequested();
            if (clock.Elapsed > Patience) throw new IOException($"not every rank wrote its part within {Patience.TotalMinutes:F0} minutes.");
        }
    }
}
