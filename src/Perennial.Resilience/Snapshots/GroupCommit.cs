using System.Diagnostics;

namespace Perennial.Resilience.Snapshots;

/// <summary>How a commit ended.</summary>
public enum CommitOutcome
{
    /// <summary>Every rank was prepared and every manager that answers has committed.</summary>
    Committed,

    /// <summary>A rank did not take or finish the step: it is given up everywhere, and the step before stands.</summary>
    Aborted,

    /// <summary>A manager does not answer. Nothing is given up: whoever restores decides by the inventories.</summary>
    Unreachable,
}

/// <summary>A commit's outcome in full.</summary>
/// <param name="Outcome">How it ended.</param>
/// <param name="Reason">Why it did not commit, or which managers missed the commit; empty when all is well.</param>
public sealed record CommitResult(CommitOutcome Outcome, string Reason);

/// <summary>
/// The coordinator of the two-phase commit over all groups (paper 02 §3). It has no state: everything is read from the managers' inventories,
/// so any process can take over at any point. One thread at a time.
/// </summary>
/// <param name="runId">The run.</param>
/// <param name="epoch">Membership epoch; managers refuse a coordinator of an older one.</param>
/// <param name="groups">All groups of the run.</param>
/// <param name="managers">The manager of each rank.</param>
/// <param name="timeout">How long one manager may take to answer.</param>
public sealed class GroupCommit(Guid runId, ulong epoch, IReadOnlyList<ShardingGroup> groups, IReadOnlyDictionary<int, SnapshotEndpoint> managers, TimeSpan timeout) : IDisposable
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(2);
    private readonly Dictionary<SnapshotEndpoint, SnapshotClient> clients = [];
    private readonly int[] ranks = [.. groups.SelectMany(group => group.Ranks)];

    /// <summary>The inventory of every rank whose manager answers and knows it.</summary>
    public IReadOnlyList<RankInventory> Gather() =>
        [.. managers.Where(pair => ranks.Contains(pair.Key)).GroupBy(pair => pair.Value)
            .SelectMany(same => (Try(same.Key, client => client.Inventory()) ?? []).Where(inventory => same.Any(pair => pair.Key == inventory.Rank)))];

    /// <summary>
    /// Commits a step as soon as every rank is prepared. A rank that gave it up, or is still not prepared after <paramref name="patience"/>, makes
    /// all give it up; but first it must agree not to become prepared any more, so that two coordinators never decide differently.
    /// </summary>
    /// <param name="step">The step.</param>
    /// <param name="patience">How long ranks may take to be prepared.</param>
    /// <param name="silence">How long a manager may not answer; null for <paramref name="patience"/>.</param>
    /// <param name="cancellation">Ends the wait.</param>
    public CommitResult Commit(long step, TimeSpan patience, TimeSpan? silence = null, CancellationToken cancellation = default)
    {
        var (start, complete) = (Stopwatch.GetTimestamp(), Stopwatch.GetTimestamp());
        while (true)
        {
            cancellation.ThrowIfCancellationRequested();
            var found = Gather();
            if (found.Any(rank => rank.StateOf(SlotKind.Data, step) == SlotState.Committed) || (found.Count == ranks.Length && found.All(rank => rank.Has(step)))) return SendCommit(step, found);
            if (found.Count == ranks.Length) complete = Stopwatch.GetTimestamp();
            var failed = found.FirstOrDefault(rank => rank.LastAborted >= step && !rank.Has(step));
            if (failed is null && (Stopwatch.GetElapsedTime(complete) > (silence ?? patience) || Stopwatch.GetElapsedTime(start) > patience))
            {
                var silent = ranks.Except(found.Select(rank => rank.Rank)).ToList();
                if (silent.Count > 0) return new(CommitOutcome.Unreachable, $"no manager answers for {string.Join(", ", silent.Select(SnapshotSlices.NameOf))}");
                var late = found.First(rank => !rank.Has(step));
                if (Ask(late.Rank, client => client.Abort(late.Rank, epoch, step, onlyUnprepared: true)) is null) failed = late;
            }
            if (failed is not null)
            {
                foreach (var rank in ranks) Ask(rank, client => client.Abort(rank, epoch, step, onlyUnprepared: false));
                return new(CommitOutcome.Aborted, $"{SnapshotSlices.NameOf(failed.Rank)} did not finish step {step}{(failed.Problem.Length > 0 ? ": " + failed.Problem : "")}");
            }
            cancellation.WaitHandle.WaitOne(Pause);
        }
    }

    /// <summary>Whether every rank's manager answers and knows it.</summary>
    public bool AllAnswer() => Gather().Count == ranks.Length;

    /// <summary>
    /// After a fault: lets ranks that are still writing finish, for as long as <paramref name="patience"/>, then chooses the step to restore.
    /// </summary>
    /// <param name="patience">How long others may still write.</param>
    /// <param name="atMost">Later steps are not looked at: they are of a future that will be another.</param>
    /// <param name="cancellation">Ends the wait.</param>
    public RestoreChoice Choose(TimeSpan patience, long atMost = long.MaxValue, CancellationToken cancellation = default)
    {
        var start = Stopwatch.GetTimestamp();
        while (true)
        {
            cancellation.ThrowIfCancellationRequested();
            var found = Gather();
            var busy = found.Any(rank => rank.Slots.Any(slot => slot is { Kind: SlotKind.Data, State: SlotState.Writing } && (slot.Landed || rank.TrainerAlive)));
            if (!busy || Stopwatch.GetElapsedTime(start) > patience) return RestoreChoice.Of(groups, found, atMost);
            cancellation.WaitHandle.WaitOne(Pause);
        }
    }

    /// <summary>
    /// Makes a choice hold before trainers of this (new) epoch join: commits the step where it is prepared, gives up all later ones, and shuts
    /// older trainers out. Safe to repeat.
    /// </summary>
    /// <returns>What managers refused; empty when all is well.</returns>
    public IReadOnlyList<string> Recover(RestoreChoice choice)
    {
        ArgumentNullException.ThrowIfNull(choice);
        var problems = new List<string>();
        var found = Gather();
        foreach (var rank in found)
        {
            if (choice.Step is { } step && rank.Has(step)) Add(Ask(rank.Rank, client => client.Commit(rank.Rank, epoch, step, ProofsFor(rank.Rank, step, found))));
            foreach (var later in rank.Slots.Where(slot => slot.State != SlotState.Empty && slot.Step > (choice.Step ?? -1)).Select(slot => slot.Step).Distinct())
                Add(Ask(rank.Rank, client => client.Abort(rank.Rank, epoch, later, onlyUnprepared: false)));
        }
        return problems;

        void Add(string? problem)
        {
            if (problem is not null) problems.Add(problem);
        }
    }

    /// <summary>
    /// Encodes anew after a lost rank has been restored and has offered the restored step: the others send it their shares again. The group is
    /// protected once this has committed.
    /// </summary>
    public CommitResult Protect(long step, TimeSpan patience, CancellationToken cancellation = default)
    {
        foreach (var rank in Gather().Where(rank => rank.Slots.Any(slot => slot is { Kind: SlotKind.Data, Landed: true } && slot.Step == step)))
            Ask(rank.Rank, client => client.Encode(rank.Rank, epoch, step));
        var start = Stopwatch.GetTimestamp();
        while (true)
        {
            cancellation.ThrowIfCancellationRequested();
            var found = Gather();
            if (found.Count == ranks.Length && found.All(rank => rank.Has(step))) return SendCommit(step, found);
            if (Stopwatch.GetElapsedTime(start) > patience)
                return new(CommitOutcome.Unreachable, $"{string.Join(", ", ranks.Except(found.Where(rank => rank.Has(step)).Select(rank => rank.Rank)).Select(SnapshotSlices.NameOf))} not protected at step {step}");
            cancellation.WaitHandle.WaitOne(Pause);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var client in clients.Values) client.Dispose();
        clients.Clear();
    }

    private CommitResult SendCommit(long step, IReadOnlyList<RankInventory> found)
    {
        var missed = ranks.Select(rank => Ask(rank, client => client.Commit(rank, epoch, step, ProofsFor(rank, step, found)))).OfType<string>().ToList();
        return new(CommitOutcome.Committed, string.Join("; ", missed));
    }

    /// <summary>What the members of a rank's group have at a step, as far as anyone has told.</summary>
    private IReadOnlyList<SlotProof> ProofsFor(int rank, long step, IReadOnlyList<RankInventory> found)
    {
        var group = groups.First(group => group.Ranks.Contains(rank));
        return [.. found.Where(inventory => group.Ranks.Contains(inventory.Rank)).SelectMany(inventory => inventory.ProofsOf(step)).DistinctBy(proof => proof.Member)];
    }

    /// <summary>Null when the request was served, else why not.</summary>
    private string? Ask(int rank, Action<SnapshotClient> request)
    {
        try
        {
            return Try(managers[rank], client =>
            {
                request(client);
                return client;
            }) is null ? $"the manager of {SnapshotSlices.NameOf(rank)} does not answer" : null;
        }
        catch (SnapshotRefusedException refused)
        {
            return refused.Message;
        }
    }

    private T? Try<T>(SnapshotEndpoint endpoint, Func<SnapshotClient, T> request)
        where T : class
    {
        try
        {
            if (!clients.TryGetValue(endpoint, out var client)) clients[endpoint] = client = SnapshotClient.Connect(endpoint, runId, timeout);
            return request(client);
        }
        catch (IOException)
        {
            // Asked again at the next round; what a manager that is gone holds is not known.
            if (clients.Remove(endpoint, out var broken)) broken.Dispose();
            return null;
        }
    }
}
