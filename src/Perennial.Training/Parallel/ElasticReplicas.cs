using System.Diagnostics;
using Perennial.Core;
using Perennial.Resilience.Groups;
using Perennial.Resilience.Membership;
using Perennial.Tensors;
using Perennial.Training.Parallel.Policies;
using Perennial.Training.Recipes;
using Perennial.Training.State;
using TorchSharp;

namespace Perennial.Training.Parallel;

/// <summary>
/// Replicas whose number changes. A step is a transaction: nothing moves before the gradients of all rows are added up, so a lost process
/// costs the step under way. The others find the next epoch, form its group, agree on the newest state, and take the step again with the
/// lost rows shared among them.
/// </summary>
internal sealed class ElasticReplicas : IReplicas
{
    private const int MostFailures = 20;
    private readonly ParallelSettings settings;
    private readonly TrainingState state;
    private readonly StateHooks hooks;
    private readonly MembershipSession session;
    private readonly Lock gate = new();
    private ICommunicator? group;
    private CancellationTokenSource? forming;
    private Epoch? epoch;
    private readonly ILossPolicy policy;
    private readonly Paces? paces;
    private readonly int unit, microBatch, batch;
    private (double Agree, double Group, double Plan, double Move) phases;
    private IReadOnlyList<int> places = [];
    private long called;
    private bool hasAgreed;

    /// <param name="settings">How this process meets the others.</param>
    /// <param name="recipe">The recipe: policy, balance, blocks.</param>
    /// <param name="microBatch">Rows computed at one time.</param>
    /// <param name="state">Its state.</param>
    /// <param name="hooks">What is done with the state when the membership changes.</param>
    public ElasticReplicas(ParallelSettings settings, Recipe recipe, int microBatch, TrainingState state, StateHooks hooks)
    {
        (this.settings, this.state, this.hooks) = (settings, state, hooks);
        var isExact = recipe.Training.Sums == SumChoice.Exact;
        (policy, batch, this.microBatch, unit) = (recipe.Resilience.Policy.Create(), recipe.Training.Batch, microBatch, isExact ? microBatch : 1);
        paces = recipe.Resilience.Balance == BalanceChoice.Measured || (isExact && recipe.Resilience.Balance == BalanceChoice.Auto) ? new Paces() : null;
        session = new MembershipSession(settings.Store, new MembershipOptions
        {
            Run = settings.Run, Address = settings.Address, Node = settings.Node, Order = settings.Rank, Expected = settings.WorldSize, Lease = settings.Lease,
        }, agent => agent.EpochChanged += (_, change) => OnEpoch(change.Current));
        settings.Interruption?.Listen(reason => Volatile.Read(ref group)?.Abort(reason));
    }

    public bool IsLeader => Rank == 0;

    public long Epoch => Present.Epoch;

    public int Rank => Present.Rank;

    private ICommunicator Present => group ?? throw new InvalidOperationException("no group was formed");

    public StepShares Shares(int rows) => policy.Share(new ShareInput(rows, unit, microBatch, settings.WorldSize, places,
        [.. epoch!.Members.Select(member => paces?.Of(member.Id) ?? 1)]));

    public bool AddsUp => true;

    public void Reduce(torch.Tensor gradients, Range64 range, ExactSums? exact)
    {
        if (exact is not null) Present.AllReduce(exact.Address + (nint)(range.Start * sizeof(long)), range.Length, ElementType.Int64);
        else Present.AllReduce(TensorMemory.Address<float>(gradients) + (nint)(range.Start * sizeof(float)), range.Length, ElementType.Float32);
    }

    public StepAgreement Exchange(StepWork work, bool stop)
    {
        called = Stopwatch.GetTimestamp();
        work.Buckets!.Wait();
        if (work.Exact is { } exact) Present.AllReduce(exact.Tail);
        var small = new double[4 + Present.Size];
        (small[0], small[1], small[2], small[3]) = (work.Loss, stop ? 1 : 0, session.Current?.Number > Epoch ? 1 : 0, hooks.CanSnapshot() ? 1 : 0);
        small[4 + Rank] = work.Rows > 0 ? work.Seconds / work.Rows : 0;
        Present.AllReduce<double>(small);
        paces?.Add([.. epoch!.Members.Select((member, rank) => (member.Id, small[4 + rank]))]);
        return new(work.Exact?.Read(work.Gradients) ?? small[0], small[1] > 0, small[2] > 0, small[3] >= Present.Size);
    }

    public double[] Agree(double[] mine)
    {
        Present.Broadcast<double>(mine, root: 0);
        return mine;
    }

    public void Await() => Present.Barrier();

    /// <summary>Joins, waits for all expected processes and agrees on a state; true where this process's state was replaced.</summary>
    /// <exception cref="PerennialException">Exit 1: they did not come in time.</exception>
    public bool Begin() => Join(() => session.WaitForEpoch(0, settings.Patience));

    /// <summary>Goes over to the newest membership at a step's end, which everyone does together; true where this process's state was replaced.</summary>
    public bool Regroup()
    {
        Leave();
        return Join(() => session.WaitForEpoch(epoch!.Number, settings.Patience));
    }

    /// <summary>After a failed call: the next membership, its group, one state.</summary>
    /// <param name="lost">What failed.</param>
    /// <returns>What was done and how long it took, and whether this process's state was replaced.</returns>
    /// <exception cref="PerennialException">Exit 1: no group comes about.</exception>
    public (Recovered Event, bool Replaced) Recover(CommunicatorException lost)
    {
        // The call that failed had waited for so long: the loss is at most as long ago.
        var (before, detected) = (epoch!, called == 0 ? 0 : Stopwatch.GetElapsedTime(called).TotalSeconds);
        Leave();
        if (policy.Restarts) throw PerennialException.StartAgain($"a process was lost ({lost.Message}): resilience.policy is 'restart', so all start again from the newest checkpoint");
        var replaced = Join(() => session.NextEpoch(before, lost, settings.Patience));
        var report = new Recovered(state.Progress.Step, Epoch, before.Members.Count, epoch!.Members.Count, $"{lost.Message} ({epoch.Reason})",
            new RecoveryPhases(detected, phases.Agree, phases.Group, phases.Plan, phases.Move, double.NaN), DateTimeOffset.UtcNow);
        return (report, replaced);
    }

    public void Dispose()
    {
        settings.Interruption?.Listen(null);
        Leave();
        session.Dispose();
    }

    /// <summary>Finds the epoch, forms its group and agrees on a state; whatever breaks on the way leads to the next epoch.</summary>
    private bool Join(Func<(Epoch Epoch, int Rank)> next)
    {
        for (var failures = 0; ; failures++)
        {
            try
            {
                var clock = Stopwatch.GetTimestamp();
                (epoch, var rank) = next();
                var agreed = Stopwatch.GetElapsedTime(clock).TotalSeconds;
                Form(epoch, rank);
                var formed = Stopwatch.GetElapsedTime(clock).TotalSeconds;
                // Survivors stand before newcomers: a newcomer at the head means that nobody survived.
                var replaced = !hasAgreed && rank == 0 && hooks.Restore();
                replaced |= StateAgreement.Bring(Present, state, hooks.Hash);
                hasAgreed = true;
                hooks.Joined(Present, [.. epoch.Members.Select(member => member.Node)]);
                var moved = Stopwatch.GetElapsedTime(clock).TotalSeconds;
                places = Places(epoch, settings.WorldSize);
                paces?.Clear();
                _ = Shares(batch);
                phases = (agreed, formed - agreed, Stopwatch.GetElapsedTime(clock).TotalSeconds - moved, moved - formed);
                called = 0;
                return replaced;
            }
            catch (CommunicatorException lost) when (failures < MostFailures)
            {
                var broken = epoch!;
                Leave();
                next = () => session.NextEpoch(broken, lost, settings.Patience);
            }
            catch (Exception error) when (error is CommunicatorException or TimeoutException)
            {
                throw PerennialException.Failed($"no group of processes comes about: {error.Message}", error);
            }
        }
    }

    /// <summary>Every member's place among those that the run began with: the one it asks for, where that is free.</summary>
    private static int[] Places(Epoch epoch, int world)
    {
        var taken = new HashSet<int>();
        var places = epoch.Members.Select(member => member.Order >= 0 && member.Order < world && taken.Add(member.Order) ? member.Order : -1).ToArray();
        for (var (rank, next) = (0, 0); rank < places.Length; rank++)
        {
            if (places[rank] >= 0) continue;
            while (!taken.Add(next)) next++;
            places[rank] = next;
        }
        return places;
    }

    private void Form(Epoch members, int rank)
    {
        using var source = new CancellationTokenSource();
        try
        {
            lock (gate) forming = source;
            if (session.Current is { } present) OnEpoch(present);
            Volatile.Write(ref group, settings.Groups.Create(
                new GroupSettings
                {
                    Name = session.Keys.Group(members.Number), Rank = rank, Size = members.Members.Count, Epoch = members.Number, Address = settings.Address,
                    // A dead peer breaks calls at once and a hanging one loses its lease; only a leader that scores a long text makes others wait.
                    CreateTimeout = TimeSpan.FromSeconds(3), Timeout = TimeSpan.FromMinutes(30),
                },
                source.Token));
        }
        finally
        {
            lock (gate) forming = null;
        }
        if (session.Current is { } newest) OnEpoch(newest);
    }

    /// <summary>Leaves the group at once, so that every other member notices.</summary>
    private void Leave() => Interlocked.Exchange(ref group, null)?.Dispose();

    /// <summary>A member of the present group, or of the one that is being formed, is gone: whoever waits for it need not wait longer.</summary>
    private void OnEpoch(Epoch newest)
    {
        if (epoch is not { } mine || mine.Number >= newest.Number || mine.Members.All(member => newest.RankOf(member.Id) >= 0)) return;
        lock (gate) forming?.Cancel();
        Volatile.Read(ref group)?.Abort($"membership changed: {newest.Reason}");
    }
}

/// <summary>What is done with the state when the membership changes.</summary>
/// <param name="Hash">The state's hash.</param>
/// <param name="Restore">Brings back what outlived all processes; asked where nobody survived. True where it replaced the state.</param>
/// <param name="Joined">A group was formed and its processes hold one state: their group, and the node of each in rank order.</param>
/// <param name="CanSnapshot">Whether this process can take part in a snapshot of the step under way.</param>
internal sealed record StateHooks(Func<string> Hash, Func<bool> Restore, Action<ICommunicator, IReadOnlyList<string>> Joined, Func<bool> CanSnapshot);
