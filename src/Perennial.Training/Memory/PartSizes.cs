using System.Globalization;
using System.IO.Hashing;
using System.Text;
using Perennial.Resilience.Layouts;

namespace Perennial.Training.Memory;

/// <summary>
/// How the state of a fixed shape is shared out among slices: every rank's, or where data ranks have one state between them, its shares. All slices are
/// as long as the longest share.
/// </summary>
internal sealed class PartSizes
{
    /// <summary>Numbers that a rank tells: the bytes of its state, and the hash of what they are.</summary>
    public const int Fields = 2;

    private const long Alignment = 64;
    private readonly ParallelShape shape;
    private readonly string content;

    /// <param name="shape">The shape.</param>
    /// <param name="told">Of every rank the bytes of its state, and the hash of what they are.</param>
    public PartSizes(ParallelShape shape, IReadOnlyList<long> told)
    {
        (this.shape, Told) = (shape, told);
        var least = Enumerable.Range(0, shape.Ranks).Max(each => (told[Fields * each] + SharersOf(each).Count - 1) / SharersOf(each).Count);
        Share = (least + Alignment - 1) / Alignment * Alignment;
        content = $"{shape} {string.Join(' ', told.Select(number => number.ToString(CultureInfo.InvariantCulture)))}";
    }

    /// <summary>Of every rank the bytes of its state, and the hash of what they are.</summary>
    public IReadOnlyList<long> Told { get; }

    /// <summary>Bytes of a slice.</summary>
    public long Share { get; }

    /// <summary>Bytes of a rank's state, with room behind them for whole shares.</summary>
    public long Room => Share * SharersOf(0).Count;

    /// <summary>Tells memory of this arrangement from that of others.</summary>
    public ulong LayoutHash(long sliceBytes) => XxHash3.HashToUInt64(Encoding.UTF8.GetBytes($"{content}\nparts of {sliceBytes}"));

    /// <summary>Ranks that have a rank's state, itself among them, in the order of their shares.</summary>
    public IReadOnlyList<int> SharersOf(int one)
    {
        var place = shape.CoordinatesOf(one);
        return shape.Zero > 0 ? [one] : [.. Enumerable.Range(0, shape.Data).Select(data => shape.RankOf(place with { Data = data }))];
    }
}
