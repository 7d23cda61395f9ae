using System.Diagnostics;
using Perennial.Resilience.Snapshots;

namespace Perennial.Training.Memory;

/// <summary>
/// A checkpoint that a snapshot manager was ordered to write, as this process follows it. The order stands without this process: what is
/// followed is only told, and waited for where the slots must not change yet.
/// </summary>
internal sealed class CheckpointOrder
{
    // A manager that dies closes its connections; this is for one that hangs.
    private static readonly TimeSpan Silence = TimeSpan.FromSeconds(30);
    private readonly TaskCompletionSource copied = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile PersistStage stage = PersistStage.Ordered;
    private volatile bool isWithdrawn;

    private CheckpointOrder(MemorySettings settings, string node, long step, Action<string> alarm)
    {
        (Step, Manager) = (step, node);
        Ended = Task.Factory.StartNew(() => Follow(settings, alarm), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
    }

    /// <summary>The step.</summary>
    public long Step { get; }

    /// <summary>The node whose manager writes.</summary>
    public string Manager { get; }

    /// <summary>How it ended; a manager that is gone ended it as lost.</summary>
    public Task<PersistReport> Ended { get; }

    /// <summary>Gives the order to a node's manager.</summary>
    /// <param name="settings">The run's managers.</param>
    /// <param name="node">The node.</param>
    /// <param name="order">The order.</param>
    /// <param name="form">What makes the state a checkpoint.</param>
    /// <param name="timeout">How long the manager may take to answer.</param>
    /// <param name="alarm">Told where the manager does not come to it.</param>
    /// <exception cref="IOException">It does not answer.</exception>
    /// <exception cref="SnapshotRefusedException">It does not take the order.</exception>
    public static CheckpointOrder Place(MemorySettings settings, string node, PersistOrder order, EncodedForm form, TimeSpan timeout, Action<string> alarm)
    {
        using (var client = SnapshotClient.Connect(settings.Managers[node], settings.RunId, timeout)) client.Persist(order, form);
        return new(settings, node, order.Step, alarm);
    }

    /// <summary>Returns when the slots may change: the state is copied out of them, or nothing will be.</summary>
    /// <param name="uncommitted">How long to wait for a step that is not committed.</param>
    /// <param name="most">How long to wait in all.</param>
    public void WaitCopied(TimeSpan uncommitted, TimeSpan most)
    {
        var start = Stopwatch.GetTimestamp();
        if (!copied.Task.Wait(uncommitted) && stage == PersistStage.Copying && most - Stopwatch.GetElapsedTime(start) is { Ticks: > 0 } left) copied.Task.Wait(left);
    }

    /// <summary>Takes the order back where its step is still not committed: it ends as lost.</summary>
    public void Withdraw() => isWithdrawn = true;

    private PersistReport Follow(MemorySettings settings, Action<string> alarm)
    {
        var report = LastReport(settings);
        if (report.Stage == PersistStage.Lost) alarm($"the manager of {Manager} did not write the checkpoint of step {Step} ({report.Problem}); a trainer writes one");
        return report;
    }

    private PersistReport LastReport(MemorySettings settings)
    {
        try
        {
            using var client = SnapshotClient.Connect(settings.Managers[Manager], settings.RunId, Silence);
            while (true)
            {
                var report = client.AwaitPersisted(Step, stage, isWithdrawn);
                stage = report.Stage;
                if (report.Stage > PersistStage.Copying) copied.TrySetResult();
                if (report.IsLast) return report;
            }
        }
        catch (Exception error) when (error is IOException or SnapshotRefusedException)
        {
            return new(PersistStage.Lost, 0, error.Message);
        }
        finally
        {
            copied.TrySetResult();
        }
    }
}
