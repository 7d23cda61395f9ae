using Perennial.Membership;
using Perennial.Resilience.Groups;
using Perennial.Resilience.Membership;

namespace Perennial.Resilience.Tests.Groups;

/// <summary>
/// A real process that all-reduces without end among three and a few times among two, and says on its output what happens to it:
/// <c>working EPOCH RANK SIZE</c>, <c>broken EPOCH CAUSE PEER</c>, <c>done EPOCH SIZE</c>.
/// </summary>
internal static class GlooWorker
{
    public const string Command = "gloo-worker";

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    public static int Run(string address, string run)
    {
        using var store = RedisStore.Connect(StoreAddress.Parse(address));
        ICommunicator? group = null;
        // A lease that a busy test machine does not outlast.
        var options = new MembershipOptions
        {
            Run = run, Expected = 3, Minimum = 2, Lease = TimeSpan.FromSeconds(3), Doubt = TimeSpan.FromSeconds(1),
        };
        using var session = new MembershipSession(store, options, agent =>
            agent.EpochChanged += (_, change) => Volatile.Read(ref group)?.Abort($"epoch {change.Current.Number} begins"));
        var factory = new GlooFactory(store);
        var data = new float[4 << 20];
        var (epoch, rank) = session.WaitForEpoch(0, Patience);
        while (true)
        {
            try
            {
                using var joined = factory.Create(new GroupSettings
                {
                    Name = session.Keys.Group(epoch.Number), Rank = rank, Size = epoch.Members.Count, Epoch = epoch.Number, CreateTimeout = TimeSpan.FromSeconds(10),
                });
                Volatile.Write(ref group, joined);
                Console.WriteLine($"working {epoch.Number} {rank} {joined.Size}");
                for (var round = 0; joined.Size == 3 || round < 3; round++)
                {
                    Array.Fill(data, 1);
                    joined.AllReduce(data.AsSpan());
                    if (data[0] != joined.Size || data[^1] != joined.Size) return 1;
                }
                Console.WriteLine($"done {epoch.Number} {joined.Size}");
                return 0;
            }
            catch (CommunicatorException error)
            {
                Console.WriteLine($"broken {epoch.Number} {error.Failure} {error.Peer}");
                Console.Error.WriteLine(error.Message);
                (epoch, rank) = session.NextEpoch(epoch, error, Patience);
            }
        }
    }
}
