using System.Globalization;
using Perennial.Resilience.Snapshots;

namespace Perennial.Resilience.Tests.Snapshots;

/// <summary>What a child process can be.</summary>
internal static class ChildRoles
{
    public static int Play(string[] arguments)
    {
        switch (arguments[0])
        {
            case "host":
                SnapshotHost.RunAsync(Cluster.HostOptions(Guid.Parse(arguments[1]), arguments[2], arguments[3]) with { OwnSession = true }, CancellationToken.None).GetAwaiter().GetResult();
                return 0;
            case "trainer":
                return Train(new ClusterShape(Guid.Parse(arguments[1]), arguments[2], Number(arguments[3]), Number(arguments[4]), Number(arguments[5])), Number(arguments[6]), arguments[7..]);
            case "coordinator":
                return Coordinate(new ClusterShape(Guid.Parse(arguments[1]), arguments[2], Number(arguments[3]), Number(arguments[4]), Number(arguments[5])));
            default:
                return 2;
        }
    }

    /// <summary>Takes orders from standard input: <c>step K</c> offers and copies step K, <c>stop K B</c> hangs after bucket B of step K.</summary>
    private static int Train(ClusterShape shape, int rank, string[] _)
    {
        var stop = (-1L, -1L);
        using var state = new RankState(shape.Bytes);
        using var agent = SnapshotAgent.Attach(shape.AgentOptions(rank, 1) with
        {
            OnBucket = (step, bucket) =>
            {
                if (stop != (step, bucket)) return;
                Say($"stopped {step} {bucket}");
                // Until it is killed here.
                Thread.Sleep(Timeout.Infinite);
            },
        });
        Say("attached");
        while (Console.ReadLine() is { } line)
        {
            var words = line.Split(' ');
            var step = Number(words[1]);
            if (words[0] == "stop") stop = (step, Number(words[2]));
            else
            {
                state.Fill(rank, step);
                var offer = agent.Offer(step, [state.Range]);
                agent.WaitCopied();
                Say(offer.Started ? $"copied {step}" : $"skipped {step}: {offer.Reason}");
            }
        }
        return 0;
    }

    /// <summary>Looks at everything, then hangs before it sends a commit.</summary>
    private static int Coordinate(ClusterShape shape)
    {
        using var commit = shape.Coordinator(1);
        Say($"sees {commit.Gather().Count} ranks");
        // Until it is killed.
        Thread.Sleep(Timeout.Infinite);
        return 0;
    }

    private static void Say(string line)
    {
        Console.WriteLine(line);
        Console.Out.Flush();
    }

    private static int Number(string text) => int.Parse(text, CultureInfo.InvariantCulture);
}
