using System.Diagnostics;
using System.Text;
using Perennial.Core;
using Perennial.Models.HuggingFace;
using Perennial.Resilience;
using Perennial.Resilience.Groups;
using Perennial.Resilience.Universal;
using Perennial.Training.Loop;
using Perennial.Training.Parallel;
using Perennial.Training.State;

namespace Perennial.Training.Checkpoints;

/// <summary>What a checkpoint of several ranks came to, the same on all.</summary>
/// <param name="Written">It is there: on the leader, unless it was told before.</param>
/// <param name="Problem">Why it is not there; null where it is, or none was begun.</param>
internal sealed record SaveOutcome(CheckpointWritten? Written, string? Problem)
{
    /// <summary>Nothing to tell.</summary>
    public static SaveOutcome None { get; } = new(null, null);
}

/// <summary>
/// Writes checkpoints beside the training, every rank its own file, nothing gathered: the state is copied, the loop goes on, a thread of
/// each rank writes. The leader's adds the model's description, waits for the others' reports, and makes the folder a checkpoint. Whether it is one
/// they settle together, before the next is begun.
/// </summary>
internal sealed class ShardedCheckpointWriter : IDisposable
{
    private static readonly TimeSpan Glance = TimeSpan.FromMilliseconds(5), Patience = TimeSpan.FromMinutes(10);
    private readonly RunParts parts;
    private readonly ShardedState state;
    private readonly CheckpointStore store;
    private StateSnapshot? copy;
    private Task? own;
    private Task<CheckpointWritten>? publishing;
    private CancellationTokenSource? abandon;
    private long before = -1;
    private bool isTold;

    public ShardedCheckpointWriter(RunParts parts, ShardedState state, CheckpointStore store) => (this.parts, this.state, this.store) = (parts, state, store);

    /// <summary>Step of the newest durable checkpoint, one under way counted as such; -1 before the first.</summary>
    public long DurableStep { get; set; } = -1;

    /// <summary>Why this rank could not write its part of the checkpoint under way; null where it could, or is still at it.</summary>
    public string? Problem => own is { IsFaulted: true } || publishing is { IsFaulted: true } ? ProblemOf(own) ?? ProblemOf(publishing) : null;

    /// <summary>Copies the state and starts writing; every rank calls it at the same step, when what was begun before is settled.</summary>
    /// <returns>Why nothing was begun, if so.</returns>
    /// <exception cref="CommunicatorException">A rank was lost.</exception>
    public SaveOutcome Begin(ICommunicator world)
    {
        var (step, clock) = (parts.State.Progress.Step, Stopwatch.GetTimestamp());
        var problem = world.Rank == 0 ? BeginFolder(step) : null;
        // The others write only once the folder is there; the name tells their files from those of an earlier attempt.
        var save = Encoding.UTF8.GetString(GateExchange.Broadcast(world, world.Rank == 0 ? Encoding.UTF8.GetBytes(problem is null ? $"{Guid.NewGuid():N}" : $"!{problem}") : null, 0));
        if (save.StartsWith('!')) return new(null, Words(step, save[1..]));
        copy ??= new StateSnapshot(parts.State);
        copy.Take(parts.State);
        abandon = new CancellationTokenSource();
        var (taken, token, pinned) = (copy, abandon.Token, parts.TrunkStep);
        (before, DurableStep, isTold) = (DurableStep, step, false);
        own = Task.Factory.StartNew(() => WriteOwn(taken, step, save), token, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        if (world.Rank == 0)
            publishing = own.ContinueWith(_ => Publish(step, save, clock, pinned, token), token, TaskContinuationOptions.OnlyOnRanToCompletion | TaskContinuationOptions.LongRunning, TaskScheduler.Default);
        return SaveOutcome.None;
    }

    /// <summary>The event of a checkpoint that is there by now, on the leader; null where it is not, or was told.</summary>
    public CheckpointWritten? Poll()
    {
        if (publishing is not { IsCompletedSuccessfully: true } || isTold) return null;
        isTold = true;
        return publishing.Result;
    }

    /// <summary>Waits for the write under way; every rank calls it at the same step. A checkpoint that one rank could not write is none.</summary>
    /// <exception cref="CommunicatorException">A rank was lost.</exception>
    public SaveOutcome Settle(ICommunicator world)
    {
        if (own is null) return SaveOutcome.None;
        var problem = GateExchange.Gather(world, Encoding.UTF8.GetBytes(ProblemOf(own) ?? "")).Select(Encoding.UTF8.GetString).FirstOrDefault(text => text.Length > 0);
        if (problem is not null) abandon!.Cancel();
        var last = ProblemOf(publishing);
        if (problem is null)
        {
            last = Encoding.UTF8.GetString(GateExchange.Broadcast(world, world.Rank == 0 ? Encoding.UTF8.GetBytes(last ?? "") : null, 0));
            if (last.Length > 0) problem = last;
        }
        if (problem is not null) DurableStep = before;
        var outcome = new SaveOutcome(problem is null ? Poll() : null, problem is null ? null : Words(copy!.Progress!.Step, problem));
        (own, publishing) = (null, null);
        return outcome;
    }

    /// <summary>Gives the write under way up: a rank was lost, its part will not come.</summary>
    public void Abandon()
    {
        abandon?.Cancel();
        // What is half written is no checkpoint.
        _ = (ProblemOf(own), ProblemOf(publishing));
        // A write that may not have come to its end counts as none.
        if (own is not null) DurableStep = -1;
        (own, publishing) = (null, null);
    }

    public void Dispose()
    {
        Abandon();
        copy?.Dispose();
        abandon?.Dispose();
    }

    private string Words(long step, string problem) => $"{store.Root}: the checkpoint of step {step} could not be written: {problem} Older checkpoints are intact; make room, then run the same command again";

    private static string? ProblemOf(Task? task)
    {
        try
        {
            task?.GetAwaiter().GetResult();
            return null;
        }
        catch (OperationCanceledException)
        {
            return null;
        }
        catch (Exception error) when (FileErrors.Is(error))
        {
            return error.Message;
        }
    }

    private string? BeginFolder(long step)
    {
        try
        {
            store.Begin(step);
            return null;
        }
        catch (Exception error) when (FileErrors.Is(error))
        {
            return error.Message;
        }
    }

    private void WriteOwn(StateSnapshot taken, long step, string save)
    {
        var (rank, temporary) = (state.Decoder.Rank, store.TemporaryOf(step));
        UniversalWriter.WriteRank(temporary, save, state.Layout, rank, state.Buffers(taken.Parameters, taken.Slots), ShardedCheckpoint.Record(taken.Progress!, parts.Recipe.Seed, parts.StreamFingerprint));
        if (rank != 0) return;
        ConfigJson.Write(parts.Config, temporary);
        parts.Data.Tokenizer.Save(temporary);
    }

    private CheckpointWritten Publish(long step, string save, long clock, long? pinned, CancellationToken token)
    {
        var temporary = store.TemporaryOf(step);
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
