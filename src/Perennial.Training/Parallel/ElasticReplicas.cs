using System.Diagnostics;
using Perennial.Core;
using Perennial.Resilience.Groups;
using Perennial.Resilience.Membership;
using Perennial.Tensors;
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
    private readonly ParallelSettings settings;
    private readonly TrainingState state;
    private readonly Func<string> hash;
    private readonly MembershipSession session;
    private ICommunicator? group;
    private Epoch? epoch;
    private int attempts;
    private double agreeing;

    public ElasticReplicas(ParallelSettings settings, TrainingState state, Func<string> hash)
    {
        (this.settings, this.state, this.hash) = (settings, state, hash);
        session = new MembershipSession(settings.Store, new MembershipOptions
        {
            Run = settings.Run, Address = settings.Address, Node = settings.Node, Order = settings.Rank, Expected = settings.WorldSize, Lease = settings.Lease,
        }, agent => agent.EpochChanged += (_, change) => OnEpoch(change.Current));
    }

    public bool IsLeader => Rank == 0;

    public long Epoch => Present.Epoch;

    public int Rank => Present.Rank;

    private ICommunicator Present => group ?? throw new InvalidOperationException("no group was formed");

    public IReadOnlyList<Range> Shares(int rows) => [.. Enumerable.Range(0, Present.Size).Select(rank => (rows * rank / Present.Size)..(rows * (rank + 1) / Present.Size))];

    public StepAgreement Exchange(double loss, torch.Tensor gradients, bool stop)
    {
        Present.AllReduce(TensorMemory.Pointer(gradients), gradients.NumberOfElements, ElementType.Float32);
        double[] small = [loss, stop ? 1 : 0, session.Current?.Number > Epoch ? 1 : 0];
        Present.AllReduce<double>(small);
        return new(small[0], small[1] > 0, small[2] > 0);
    }

    public void Await() => Present.Barrier();

    /// <summary>Joins, waits for all expected processes and agrees on a state; true where this process's state was replaced.</summary>
    /// <exception cref="PerennialException">Exit 1: they did not come in time.</exception>
    public bool Begin() => Rejoin(0, settings.Patience);
    /// <summary>Goes over to the newest membership at a step's end, which everyone does together; true where this process's state was replaced.</summary>
    public bool Regroup()
    {
        Leave(null);
        return Rejoin(epoch!.Number, settings.Patience);
    }

    /// <summary>After a failed call: the next membership, its group, one state.</summary>
    /// <param name="lost">What failed.</param>
    /// <returns>What was done and how long it took, and whether this process's state was replaced.</returns>
    /// <exception cref="PerennialException">Exit 1: no group comes about.</exception>
    public (Recovered Event, bool Replaced) Recover(CommunicatorException lost)
    {
        var clock = Stopwatch.GetTimestamp();
        var before = epoch!;
        Leave(lost);
        Form(before.Number, Unnoticed);
        var grouped = Stopwatch.GetElapsedTime(clock).TotalSeconds;
        bool replaced;
        try
        {
            replaced = StateAgreement.Bring(Present, state, hash);
        }
        catch (CommunicatorException again)
        {
            Leave(again);
            replaced = Rejoin(epoch!.Number, Unnoticed);
        }
        var total = Stopwatch.GetElapsedTime(clock).TotalSeconds;
        var report = new Recovered(state.Progress.Step, Epoch, before.Members.Count, epoch!.Members.Count, $"{lost.Message} ({epoch.Reason})", agreeing, grouped - agreeing, total - grouped, DateTimeOffset.UtcNow);
        return (report, replaced);
    }

    public void Dispose()
    {
        Interlocked.Exchange(ref group, null)?.Dispose();
        session.Dispose();
    }

    /// <summary>How long a broken group waits for a new membership before it is formed again with the same one: a connection may break though both ends live.</summary>
    private TimeSpan Unnoticed => settings.Lease * 2 + TimeSpan.FromSeconds(1);

    private bool Rejoin(long after, TimeSpan patience)
    {
        while (true)
        {
            Form(after, patience);
            try
            {
                return StateAgreement.Bring(Present, state, hash);
            }
            catch (CommunicatorException lost)
            {
                Leave(lost);
                (after, patience) = (epoch!.Number, Unnoticed);
            }
        }
    }

    private void Form(long after, TimeSpan patience)
    {
        for (var failures = 0; ; failures++)
        {
            var clock = Stopwatch.GetTimestamp();
            var (next, rank) = Next(after, patience);
            agreeing = Stopwatch.GetElapsedTime(clock).TotalSeconds;
            epoch = next;
            try
            {
                var formed = settings.Groups.Create(new GroupSettings
                {
                    Name = $"{session.Keys.Group(next.Number)}{attempts}/", Rank = rank, Size = next.Members.Count, Epoch = next.Number, Address = settings.Address,
                    // A dead peer breaks calls at once and a hanging one loses its lease; only a leader that scores a long text makes others wait.
                    CreateTimeout = TimeSpan.FromSeconds(3), Timeout = TimeSpan.FromMinutes(30),
                });
                Volatile.Write(ref group, formed);
                if (session.Current is { } newest) OnEpoch(newest);
                return;
            }
            catch (CommunicatorException) when (failures < 20)
            {
                (after, patience) = (next.Number, Unnoticed);
            }
            catch (CommunicatorException error)
            {
                throw PerennialException.Failed($"no group comes about among {next.Members.Count} processes: {error.Message}", error);
            }
        }
    }

    /// <summary>The next membership, or the same one once more where none comes.</summary>
    private (Epoch Epoch, int Rank) Next(long after, TimeSpan patience)
    {
        try
        {
            var next = session.WaitForEpoch(after, patience);
            attempts = 0;
            return next;
        }
        catch (TimeoutException) when (session.Current is { } same && same.Number == epoch?.Number && same.RankOf(session.Id) >= 0)
        {
            attempts++;
            return (same, same.RankOf(session.Id));
        }
        catch (TimeoutException error)
        {
            throw PerennialException.Failed($"the other processes did not come: {error.Message}", error);
        }
    }

    /// <summary>Leaves the group at once, so that every other member notices, and says who seems lost.</summary>
    private void Leave(CommunicatorException? lost)
    {
        var old = Interlocked.Exchange(ref group, null);
        old?.Dispose();
        if (lost is { Failure: CommunicatorFailure.PeerLost, Peer: { } peer } && epoch is not null && lost.Epoch == epoch.Number && peer < epoch.Members.Count)
            session.Report(epoch.Members[peer].Id);
    }

    /// <summary>A member of the present group is gone: whoever waits for it need not wait longer.</summary>
    private void OnEpoch(Epoch newest)
    {
        if (Volatile.Read(ref group) is { } present && epoch is { } mine && mine.Number < newest.Number && mine.Members.Any(member => newest.RankOf(member.Id) < 0))
            present.Abort($"membership changed: {newest.Reason}");
    }
}
