using System.IO.Hashing;
using System.Runtime.InteropServices;
using System.Text;
using Perennial.Core;

namespace Perennial.Resilience.Layouts;

/// <summary>A rank's flat buffer: its size and what lies in it. Bytes that no run covers are padding and hold zeros.</summary>
/// <param name="Bytes">Size.</param>
/// <param name="Runs">In the order of their first local byte.</param>
public sealed record RankBuffer(long Bytes, IReadOnlyList<LayoutRun> Runs)
{
    /// <summary>Bytes that runs cover.</summary>
    public long Held => Runs.Sum(run => run.Bytes);
}

/// <summary>A stretch of a logical tensor.</summary>
/// <param name="Tensor">The tensor's name.</param>
/// <param name="Offset">First byte.</param>
/// <param name="Length">Bytes.</param>
public sealed record LogicalRange(string Tensor, long Offset, long Length);

/// <summary>
/// Which bytes of which logical tensor live on which rank, and where in that rank's flat buffer: one value for replicas, ZeRO
/// slices, tensor shards, stages, tied weights and padding. It is checked when made: runs lie inside their tensor and buffer,
/// on element borders, and neither overlap in the buffer nor hold one logical byte twice on a rank. Equal placement means equal
/// <see cref="Hash"/>.
/// </summary>
public sealed class Layout : IEquatable<Layout>
{
    private readonly Dictionary<string, int> byName;
    private readonly Lazy<UInt128> hash;

    private Layout(IReadOnlyList<LogicalTensor> tensors, IReadOnlyList<RankBuffer> ranks)
    {
        Tensors = tensors;
        Ranks = ranks;
        byName = new(StringComparer.Ordinal);
        for (var i = 0; i < tensors.Count; i++)
            if (!byName.TryAdd(tensors[i].Name, i)) throw PerennialException.Usage($"two tensors of a layout are named '{tensors[i].Name}'");
        hash = new(Fingerprint);
    }

    /// <summary>The logical tensors.</summary>
    public IReadOnlyList<LogicalTensor> Tensors { get; }

    /// <summary>One buffer a rank.</summary>
    public IReadOnlyList<RankBuffer> Ranks { get; }

    /// <summary>XXH128 over the placement: the same on every machine and in every process.</summary>
    public UInt128 Hash => hash.Value;

    /// <summary>The hash as 32 hexadecimal digits.</summary>
    public string HashText => Hash.ToString("x32");

    /// <summary>Makes a layout from explicit placements; runs are brought into normal form and order.</summary>
    /// <exception cref="PerennialException">Exit 2: a run breaks one of the rules above; the message names tensor and rank.</exception>
    public static Layout Of(IEnumerable<LogicalTensor> tensors, IEnumerable<RankBuffer> ranks)
    {
        ArgumentNullException.ThrowIfNull(tensors);
        ArgumentNullException.ThrowIfNull(ranks);
        var layout = new Layout([.. tensors], [.. ranks.Select(Ordered)]);
        foreach (var tensor in layout.Tensors) tensor.Check();
        LayoutCheck.Refuse(layout);
        return layout;
    }

    /// <summary>The index of a tensor, or null.</summary>
    public int? IndexOf(string name) => byName.TryGetValue(name, out var index) ? index : null;

    /// <summary>The logical bytes that no rank holds, leaving out the ranks in <paramref name="without"/>; empty when nothing is lost.</summary>
    public IReadOnlyList<LogicalRange> Uncovered(IReadOnlySet<int>? without = null) => LayoutCheck.Uncovered(this, without);

    /// <summary>The layout of one tensor alone; buffers keep their sizes and offsets.</summary>
    /// <exception cref="PerennialException">Exit 2: there is no such tensor.</exception>
    public Layout Only(string name)
    {
        var index = IndexOf(name) ?? throw PerennialException.Usage($"the layout has no tensor '{name}'");
        return new([Tensors[index]], [.. Ranks.Select(rank => new RankBuffer(rank.Bytes, [.. rank.Runs.Where(run => run.Tensor == index).Select(run => run with { Tensor = 0 })]))]);
    }

    /// <summary>The same placement over new rank numbers.</summary>
    /// <param name="ranks">How many ranks the new numbering has.</param>
    /// <param name="newRank">The new number of each old rank; −1 for one that is gone. New ranks that no old one becomes hold nothing.</param>
    /// <exception cref="PerennialException">Exit 2: two ranks get one number, or a number is outside.</exception>
    public Layout Renumbered(int ranks, IReadOnlyList<int> newRank)
    {
        ArgumentNullException.ThrowIfNull(newRank);
        var buffers = Enumerable.Repeat(new RankBuffer(0, []), ranks).ToArray();
        var taken = new HashSet<int>();
        for (var old = 0; old < Ranks.Count; old++)
        {
            var rank = newRank[old];
            if (rank == -1) continue;
            if (rank < 0 || rank >= ranks || !taken.Add(rank)) throw PerennialException.Usage($"rank {old} cannot become rank {rank} of {ranks}");
            buffers[rank] = Ranks[old];
        }
        return Of(Tensors, buffers);
    }

    /// <inheritdoc/>
    public bool Equals(Layout? other) => other is not null && Hash == other.Hash;

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as Layout);

    /// <inheritdoc/>
    public override int GetHashCode() => Hash.GetHashCode();

    private static RankBuffer Ordered(RankBuffer buffer)
    {
        var runs = buffer.Runs.Where(run => run.Bytes > 0).Select(run => run.Normal()).OrderBy(run => run.Local);
        var merged = new List<LayoutRun>();
        foreach (var run in runs)
        {
            if (merged.Count > 0 && merged[^1] is { Count: 1 } last && run.Count == 1 && last.Tensor == run.Tensor && last.Replica == run.Replica
                && last.LogicalEnd == run.Logical && last.LocalEnd == run.Local)
                merged[^1] = last with { Length = last.Length + run.Length };
            else merged.Add(run);
        }
        return new(buffer.Bytes, merged);
    }

    private UInt128 Fingerprint()
    {
        var digest = new XxHash128();
        void Number(long value) => digest.Append(MemoryMarshal.AsBytes(new ReadOnlySpan<long>(in value)));
        Number(Tensors.Count);
        foreach (var tensor in Tensors)
        {
            var name = Encoding.UTF8.GetBytes(tensor.Name);
            Number(name.Length);
            digest.Append(name);
            Number(tensor.ElementBytes);
            Number((long)tensor.Replicas);
            Number(tensor.Shape.Count);
            foreach (var dimension in tensor.Shape) Number(dimension);
        }
        Number(Ranks.Count);
        foreach (var rank in Ranks)
        {
            Number(rank.Bytes);
            Number(rank.Runs.Count);
            foreach (var run in rank.Runs)
            {
                Number(run.Tensor);
                Number(run.Logical);
                Number(run.Local);
                Number(run.Length);
                Number(run.Count);
                Number(run.LogicalStride);
                Number(run.LocalStride);
                Number(run.Replica ? 1 : 0);
            }
        }
        return digest.GetCurrentHashAsUInt128();
    }
}
