using System.IO.Hashing;
using System.Text;

namespace Perennial.Resilience.Snapshots;

/// <summary>One slice of the state: who copies it, and whose manager keeps it.</summary>
/// <param name="Id">The rank under which managers know it.</param>
/// <param name="Number">Its place in the state, from 0.</param>
/// <param name="Node">The node whose manager keeps it.</param>
/// <param name="Writer">The process that copies it, on that node.</param>
/// <param name="GroupSize">Slices of its parity group, each on a node of its own; 1 without parity.</param>
/// <param name="GroupIndex">Its place in the group.</param>
/// <param name="Losses">Slices of the group that may be lost.</param>
public sealed record SnapshotSlice(int Id, int Number, string Node, int Writer, int GroupSize, int GroupIndex, int Losses);

/// <summary>
/// How replicas share the duty of copying one state (paper 02 §1: with data parallelism everyone has everything, so each rank copies a part,
/// and doubling the ranks halves what each copies). Every node keeps the same number of equal slices; a node's slices are shared among its
/// processes; the slices of a parity group lie on different nodes and follow each other in the state.
/// </summary>
public sealed record SnapshotSlices
{
    private const int NumberBits = 12, TagBits = 19;
    private const long Alignment = 64;

    private SnapshotSlices(int tag, IReadOnlyList<SnapshotSlice> slices) => (Tag, All) = (tag, slices);

    /// <summary>Tells this arrangement's memory from that of others: different nodes, groups or numbers have different ids.</summary>
    public int Tag { get; }

    /// <summary>The slices in the order of the state.</summary>
    public IReadOnlyList<SnapshotSlice> All { get; }

    /// <summary>The parity groups, by the ids of their slices.</summary>
    public IReadOnlyList<ShardingGroup> Groups => [.. All.Where(slice => slice.GroupIndex == 0).Select(first => new ShardingGroup([.. Enumerable.Range(first.Id, first.GroupSize)], first.Losses))];

    /// <summary>The arrangement of a membership.</summary>
    /// <param name="nodeOfRank">The node of each process, in rank order.</param>
    /// <param name="parity">How nodes protect each other.</param>
    /// <exception cref="ArgumentException">More than 4,096 slices.</exception>
    public static SnapshotSlices Of(IReadOnlyList<string> nodeOfRank, ParityChoice parity)
    {
        ArgumentNullException.ThrowIfNull(nodeOfRank);
        ArgumentNullException.ThrowIfNull(parity);
        var members = nodeOfRank.Select((node, rank) => (node, rank)).GroupBy(pair => pair.node, pair => pair.rank).OrderBy(node => node.Key, StringComparer.Ordinal).Select(node => (Node: node.Key, Ranks: node.ToArray())).ToArray();
        var lanes = members.Max(member => member.Ranks.Length);
        if (members.Length * lanes > 1 << NumberBits) throw new ArgumentException($"{members.Length} nodes with {lanes} slices each are more than {1 << NumberBits}", nameof(nodeOfRank));
        var sizes = parity.Groups(members.Length);
        var text = $"{lanes} {parity.Losses} {string.Join(',', sizes)} {string.Join('/', members.Select(member => member.Node))}";
        var tag = (int)(XxHash3.HashToUInt64(Encoding.UTF8.GetBytes(text)) & ((1 << TagBits) - 1));
        var slices = new List<SnapshotSlice>();
        var first = 0;
        foreach (var size in sizes)
        {
            for (var lane = 0; lane < lanes; lane++)
                for (var index = 0; index < size; index++)
                {
                    var (node, ranks) = members[first + index];
                    slices.Add(new(Id(tag, slices.Count), slices.Count, node, ranks[lane % ranks.Length], size, index, parity.LossesOf(size)));
                }
            first += size;
        }
        return new(tag, slices);
    }

    /// <summary>Bytes of a slice of a state of so many bytes.</summary>
    public long SliceBytes(long stateBytes) => (stateBytes + All.Count * Alignment - 1) / (All.Count * Alignment) * Alignment;

    /// <summary>The part of an id that <see cref="Tag"/> is.</summary>
    public static int TagOf(int id) => id >> NumberBits;

    /// <summary>The part of an id that tells the slice's place in the state.</summary>
    public static int NumberOf(int id) => id & ((1 << NumberBits) - 1);

    /// <summary>Whose memory a manager's rank means, in words: a slice's id by its place in the state, any other as the rank that it is.</summary>
    public static string NameOf(int rank) => TagOf(rank) == 0 ? $"rank {rank}" : $"slice {NumberOf(rank)}";

    /// <summary>The id of a slice.</summary>
    public static int Id(int tag, int number) => tag << NumberBits | number;
}
