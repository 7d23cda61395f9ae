using System.Diagnostics;
using Perennial.Core;
using Perennial.Resilience.Groups;
using Perennial.Resilience.Membership;

namespace Perennial.Training.Parallel;

/// <summary>
/// The processes of a parallel shape: each has a place of its own (its rank), and all are needed. When one is lost the others wait until
/// somebody has taken its place.
/// </summary>
internal sealed class FixedWorld : IDisposable
{
    private const int MostFailures = 20;
    private readonly ParallelSettings settings;
    private readonly MembershipSession session;
    private ICommunicator? group;
    private Epoch? epoch;

    /// <param name="settings">How this process meets the others; its rank is its place.</param>
    public FixedWorld(ParallelSettings settings)
    {
        this.settings = settings;
        settings.Interruption?.Listen(reason => Volatile.Read(ref group)?.Abort(reason));
        session = new MembershipSession(settings.Store, new MembershipOptions
        {
            Run = settings.Run, Address = settings.Address, Node = settings.Node, Order = settings.Rank, Expected = settings.WorldSize, Lease = settings.Lease,
        }, agent => agent.EpochChanged += (_, change) => OnEpoch(change.Current));
    }

    /// <summary>Seconds until everybody was there, and from there to connected processes; of the last world.</summary>
    public (double Agree, double Group) Phases { get; private set; }

    /// <summary>The present membership's number.</summary>
    public long Epoch => epoch?.Number ?? 0;

    /// <summary>Waits for everybody and forms the world.</summary>
    /// <exception cref="PerennialException">Exit 1: they did not come in time.</exception>
    public ICommunicator Join() => Form(() => session.WaitForEpoch(0, settings.Patience));

    /// <summary>After a failed call: waits until all places are taken again and forms the next world.</summary>
    /// <exception cref="PerennialException">Exit 1: nobody came in time.</exception>
    public ICommunicator Rejoin(CommunicatorException lost)
    {
        var broken = epoch!;
        Leave();
        return Form(() => session.NextEpoch(broken, lost, settings.Patience));
    }

    /// <summary>Leaves the world at once, so that every other member notices.</summary>
    public void Leave() => Interlocked.Exchange(ref group, null)?.Dispose();

    public void Dispose()
    {
        settings.Interruption?.Listen(null);
        Leave();
        session.Dispose();
    }

    private ICommunicator Form(Func<(Epoch Epoch, int Rank)> next)
    {
        var clock = Stopwatch.GetTimestamp();
        for (var failures = 0; ; failures++)
        {
            try
            {
                (epoch, _) = next();
                while (epoch.Members.Count != settings.WorldSize) (epoch, _) = session.WaitForEpoch(epoch.Number, settings.Patience);
                var agreed = Stopwatch.GetElapsedTime(clock).TotalSeconds;
                Volatile.Write(ref group, settings.Groups.Create(new GroupSettings
                {
                    Name = session.Keys.Group(epoch.Number), Rank = settings.Rank, Size = settings.WorldSize, Epoch = epoch.Number, Address = settings.Address,
                    CreateTimeout = TimeSpan.FromSeconds(10), Timeout = TimeSpan.FromMinutes(30),
                }));
                if (session.Current is { } newest) OnEpoch(newest);
                Phases = (agreed, Stopwatch.GetElapsedTime(clock).TotalSeconds - agreed);
                return group!;
            }
            catch (CommunicatorException lost) when (failures < MostFailures)
            {
                var broken = epoch!;
                Leave();
                next = () => session.NextEpoch(broken, lost, settings.Patience);
            }
            catch (Exception error) when (error is CommunicatorException or TimeoutException)
            {
                throw PerennialException.Failed($"the {settings.WorldSize} processes of 'parallel:' do not come together: {error.Message}", error);
            }
        }
    }

    /// <summary>A member of the present world is gone: whoever waits for it need not wait longer.</summary>
    private void OnEpoch(Epoch newest)
    {
        if (Volatile.Read(ref group) is { } present && epoch is { } mine && mine.Number < newest.Number && mine.Members.Any(member => newest.RankOf(member.Id) < 0))
            present.Abort($"membership changed: {newest.Reason}");
    }
}
