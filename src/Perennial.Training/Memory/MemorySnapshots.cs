using System.Diagnostics;
using Perennial.Resilience.Groups;
using Perennial.Resilience.Snapshots;

namespace Perennial.Training.Memory;

/// <summary>
/// The training state outside the trainers. Every process copies its slices of it into its node's manager
/// after a step, beside the next step's forward and backward where a processor is idle for that, else before them on all threads; the leader
/// commits the step once all slices (and their parity) are there. Before the next update each process waits for that decision, so what memory
/// holds is never more than one step behind. Processes that start with less take the state back: slices that are there from their managers,
/// lost ones from parity (<see cref="ReplicaRestore"/>, <see cref="PartRestore"/>).
/// </summary>
/// <param name="settings">Where to.</param>
/// <param name="state">The state; this object's from here on.</param>
/// <param name="present">The present step.</param>
/// <param name="alarm">Takes what goes wrong and training survives.</param>
internal sealed class MemorySnapshots(MemorySettings settings, ISlicedState state, Func<long> present, Action<string> alarm) : IDisposable
{
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(2), MostWait = TimeSpan.FromSeconds(1), MostCopy = TimeSpan.FromSeconds(30), Nap = TimeSpan.FromMilliseconds(0.3);
    private SliceCopies? copies;
    private GroupCommit? coordinator;
    private SnapshotSlices? slices;
    private Task committing = Task.CompletedTask;
    private CancellationTokenSource leaving = new();
    private CheckpointOrder? persisting;
    private ulong epoch;
    private bool isOverdue, mustRetire;

    /// <summary>Seconds that training stood still for snapshots, and snapshots begun and skipped.</summary>
    public (double Stall, long Taken, long Skipped) Account { get; private set; }

    /// <summary>Slices of the largest group that protects its members, and how many of them may be lost; null before the first membership.</summary>
    public (int Size, int Losses)? Protection => slices?.All.MaxBy(slice => slice.GroupSize) is { } slice ? (slice.GroupSize, slice.Losses) : null;

    /// <summary>Whether this process can take part in the next snapshot; all must, so they tell each other beside the gradients.</summary>
    public bool IsReady => copies is { IsAttached: true } && (!isOverdue || copies.IsSettled);

    /// <summary>
    /// Takes up the duty of a new membership; everyone calls it together. The leader first makes what stands in memory hold: newer managers'
    /// epoch, the newest step that can be restored committed, later ones given up.
    /// </summary>
    /// <param name="group">The processes; null for one alone.</param>
    /// <param name="nodeOfRank">The node of each, in rank order.</param>
    /// <exception cref="CommunicatorException">A process was lost.</exception>
    public void Join(ICommunicator? group, IReadOnlyList<string> nodeOfRank)
    {
        Leave();
        var rank = group?.Rank ?? 0;
        slices = SnapshotSlices.Of(nodeOfRank, settings.Parity);
        // Later memberships shut earlier ones out, whatever processes they are of.
        long[] agreed = [DateTimeOffset.UtcNow.ToUnixTimeMilliseconds(), -1];
        if (rank == 0)
        {
            var managers = slices.All.ToDictionary(slice => slice.Id, slice => settings.Managers[slice.Node]);
            coordinator = new GroupCommit(settings.RunId, (ulong)agreed[0], slices.Groups, managers, Timeout);
            agreed[1] = Settle(coordinator, TimeSpan.FromMilliseconds(200), present()) ?? present();
        }
        group?.Broadcast<long>(agreed, 0);
        epoch = (ulong)agreed[0];
        copies = new SliceCopies(settings, state, slices, rank, epoch, agreed[1], alarm, nodeOfRank.Count(node => node == nodeOfRank[rank]));
        (isOverdue, mustRetire) = (false, true);
    }

    /// <summary>
    /// Orders the checkpoint of the present step of a manager, which writes it once the step's snapshot is committed, whoever lives then. To be called
    /// before <see cref="Offer"/>, by the process that decides.
    /// </summary>
    /// <param name="form">What makes the state a checkpoint.</param>
    /// <param name="count">Bytes of the whole state, which the slices are together.</param>
    /// <param name="pinned">A step whose checkpoint stays beside the newest; null for none.</param>
    /// <returns>Null where no manager takes the order.</returns>
    public CheckpointOrder? Order(EncodedForm form, long count, long? pinned)
    {
        if (coordinator is null || slices is null) return null;
        var size = state.SliceBytes(slices);
        // The same manager for whoever leads: it never writes two at once.
        var node = slices.All[0].Node;
        var order = new PersistOrder(epoch, present(), slices.Tag, size, state.LayoutHash(size), count, pinned, form.Hash, [.. settings.Managers.Values.Distinct()]);
        try
        {
            return persisting = CheckpointOrder.Place(settings, node, order, form, Timeout, alarm);
        }
        catch (Exception error) when (error is IOException or SnapshotRefusedException)
        {
            alarm($"the manager of {node} does not write the checkpoint of step {order.Step}: {error.Message}");
            return null;
        }
    }

    /// <summary>Starts the copy of the present step.</summary>
    public void Offer()
    {
        if (copies is null) return;
        var step = present();
        // What is not yet decided is waited for here only by the one who decides.
        Decided(MostWait);
        var start = Stopwatch.GetTimestamp();
        var started = state.Refresh();
        if (started) started = copies.Offer(step);
        else copies.Decline(step);
        var stall = Account.Stall + Stopwatch.GetElapsedTime(start).TotalSeconds;
        Account = started ? Account with { Stall = stall, Taken = Account.Taken + 1 } : Account with { Stall = stall, Skipped = Account.Skipped + 1 };
        if (coordinator is null) return;
        // Others may have begun what could not be begun here: that is decided too. A coordinator does one thing at a time.
        var (deciding, arrangement, left) = (coordinator, slices!, leaving.Token);
        committing = committing.ContinueWith(_ => Decide(deciding, arrangement, step, left), CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
    }

    /// <summary>Returns when the state may change: everything is copied.</summary>
    public void WaitCopied() => copies?.WaitCopied();

    /// <summary>Before an update: returns when the last snapshot is copied and decided, so that memory is never more than a step behind.</summary>
    public void WaitDecided()
    {
        if (copies is null) return;
        var start = Stopwatch.GetTimestamp();
        copies.WaitCopied();
        // The decision is written into shared memory by other processes, which cannot wake this one.
        while (!copies.IsSettled && Stopwatch.GetElapsedTime(start) < MostWait) Thread.Sleep(Nap);
        persisting?.WaitCopied(MostWait, MostCopy);
        persisting = null;
        copies.NoteStanding();
        isOverdue = !copies.IsSettled;
        // What a lost manager left undecided is decided once it, or another in its place, answers.
        if (isOverdue && coordinator is { } deciding && committing.IsCompleted) committing = Task.Run(() => Settle(deciding, TimeSpan.Zero, present()));
        Account = Account with { Stall = Account.Stall + Stopwatch.GetElapsedTime(start).TotalSeconds };
    }

    /// <summary>Gives the duty up.</summary>
    public void Leave()
    {
        WaitCopied();
        // Nobody waits for a decision that a lost process may owe: the next membership decides.
        leaving.Cancel();
        Decided(System.Threading.Timeout.InfiniteTimeSpan);
        leaving.Dispose();
        leaving = new CancellationTokenSource();
        copies?.Dispose();
        coordinator?.Dispose();
        (copies, coordinator) = (null, null);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Leave();
        leaving.Dispose();
        state.Dispose();
    }

    private bool Decided(TimeSpan patience)
    {
        try
        {
            return committing.Wait(patience);
        }
        catch (AggregateException broken) when (broken.InnerExceptions.All(error => error is OperationCanceledException or IOException or SnapshotRefusedException or ObjectDisposedException))
        {
            // What stands is read from the managers again.
            committing = Task.CompletedTask;
            return true;
        }
    }

    private void Decide(GroupCommit deciding, SnapshotSlices arrangement, long step, CancellationToken left)
    {
        if (deciding.Commit(step, MostCopy, MostWait, left) is { Outcome: not CommitOutcome.Committed } failed)
        {
            alarm($"the snapshot of step {step} was not committed: {failed.Reason}");
            Settle(deciding, TimeSpan.Zero, step);
        }
        else if (mustRetire)
        {
            RetireOthers(arrangement);
            mustRetire = false;
        }
    }

    /// <summary>
    /// Commits the newest step that can be restored, gives later ones up; its step. Where nothing can be restored while a manager is away,
    /// nothing is decided: it may come back with what is missing.
    /// </summary>
    private long? Settle(GroupCommit deciding, TimeSpan patience, long atMost)
    {
        var choice = deciding.Choose(patience, atMost);
        if (choice.Step is null && !deciding.AllAnswer()) return null;
        foreach (var problem in deciding.Recover(choice)) alarm(problem);
        return choice.Step;
    }

    /// <summary>Once this arrangement has a snapshot of its own, memory of earlier ones is freed.</summary>
    private void RetireOthers(SnapshotSlices arrangement)
    {
        var mine = arrangement.All.Select(slice => slice.Id).ToHashSet();
        foreach (var manager in settings.Managers.Values.Distinct())
        {
            try
            {
                using var client = SnapshotClient.Connect(manager, settings.RunId, Timeout);
                foreach (var old in client.Inventory().Where(rank => !mine.Contains(rank.Rank))) client.Retire(old.Rank);
            }
            catch (Exception error) when (error is IOException or SnapshotRefusedException)
            {
                // A manager that is gone holds nothing; one that comes back with old memory is never newer than this arrangement's.
            }
        }
    }
}
