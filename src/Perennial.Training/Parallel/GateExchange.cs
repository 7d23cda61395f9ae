using Perennial.Resilience.Groups;
using Perennial.Resilience.Layouts;
using Perennial.Resilience.Universal;

namespace Perennial.Training.Parallel;

/// <summary>The transition gate between processes: each tells what it has, each judges alike.</summary>
internal static class GateExchange
{
    /// <summary>Stops every rank when any of them holds something else than was saved.</summary>
    /// <exception cref="Core.PerennialException">Exit 3: what is wrong.</exception>
    /// <exception cref="CommunicatorException">A rank was lost.</exception>
    public static void Require(ICommunicator world, StateSummary expected, StateLayout layout, RankEvidence mine) => TransitionGate.Require(expected, layout, Gather(world, mine));

    /// <summary>The evidence of all ranks, by rank.</summary>
    /// <exception cref="CommunicatorException">A rank was lost.</exception>
    public static IReadOnlyList<RankEvidence> Gather(ICommunicator world, RankEvidence mine) => [.. Gather(world, mine.ToJson()).Select(json => RankEvidence.FromJson(json))];

    /// <summary>Bytes of every rank on all, by rank.</summary>
    /// <exception cref="CommunicatorException">A rank was lost.</exception>
    public static IReadOnlyList<byte[]> Gather(ICommunicator world, byte[] own)
    {
        var counts = new long[world.Size];
        world.AllGather([own.Length], counts, [.. Enumerable.Repeat(1L, world.Size)]);
        var all = new byte[counts.Sum()];
        world.AllGather(own, all, counts);
        var (list, at) = (new List<byte[]>(), 0);
        foreach (var count in counts)
        {
            list.Add(all.AsSpan(at, (int)count).ToArray());
            at += (int)count;
        }
        return list;
    }

    /// <summary>Bytes of one rank on all.</summary>
    /// <exception cref="CommunicatorException">A rank was lost.</exception>
    public static byte[] Broadcast(ICommunicator world, byte[]? own, int root)
    {
        long[] length = [own?.Length ?? 0];
        world.Broadcast<long>(length, root);
        var bytes = world.Rank == root ? own! : new byte[length[0]];
        world.Broadcast<byte>(bytes, root);
        return bytes;
    }
}
