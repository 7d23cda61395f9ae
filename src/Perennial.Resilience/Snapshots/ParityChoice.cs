using System.Globalization;
using System.Text.RegularExpressions;

namespace Perennial.Resilience.Snapshots;

/// <summary>How the nodes of a run protect each other's snapshots: which groups they form, and how many of a group may be lost.</summary>
/// <param name="Data">k: data chunks of a group's code; 0 leaves the size of groups to the number of nodes.</param>
/// <param name="Losses">m: nodes of a group that may be lost; 0 without parity.</param>
public sealed partial record ParityChoice(int Data, int Losses)
{
    /// <summary>The most nodes that a group has where the choice does not say how many: repair reads from all of them.</summary>
    public const int LargestGroup = 8;

    /// <summary>Snapshots outlive trainers, not nodes.</summary>
    public static ParityChoice None { get; } = new(0, 0);

    /// <summary>One node of a group may be lost.</summary>
    public static ParityChoice Xor { get; } = new(0, 1);

    /// <summary>Reads <c>none</c>, <c>xor</c>, <c>rs(4+2)</c>, or <c>rs(+2)</c> for groups as large as there are nodes (at most 8); null where it is none of them.</summary>
    public static ParityChoice? Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        if (text == "none") return None;
        if (text == "xor") return Xor;
        if (ReedSolomon().Match(text.Replace(" ", "", StringComparison.Ordinal)) is not { Success: true } match) return null;
        var (data, losses) = (match.Groups[1].Length == 0 ? 0 : int.Parse(match.Groups[1].ValueSpan, CultureInfo.InvariantCulture), int.Parse(match.Groups[2].ValueSpan, CultureInfo.InvariantCulture));
        return (data >= 1 || match.Groups[1].Length == 0) && losses >= 1 && data + losses <= 255 ? new(data, losses) : null;
    }

    /// <summary>The fewest nodes at which the choice protects as it says.</summary>
    public int LeastNodes => Losses == 0 ? 1 : Math.Max(Data, 1) + Losses;

    /// <summary>
    /// Sizes of the groups that so many nodes form, in order: as even as they can be, none smaller than k + m while there are enough nodes.
    /// Without parity every node is a group of its own.
    /// </summary>
    public IReadOnlyList<int> Groups(int nodes)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(nodes, 1);
        if (Losses == 0) return [.. Enumerable.Repeat(1, nodes)];
        var groups = Data > 0 ? Math.Max(1, nodes / (Data + Losses)) : (nodes + LargestGroup - 1) / LargestGroup;
        return [.. Enumerable.Range(0, groups).Select(group => nodes * (group + 1) / groups - nodes * group / groups)];
    }

    /// <summary>Losses that a group of so many nodes tolerates: with fewer nodes than the choice wants, as many as they can.</summary>
    public int LossesOf(int size) => Math.Min(Losses, size - 1);

    /// <inheritdoc/>
    public override string ToString() => Losses == 0 ? "none" : (Data, Losses) switch { (0, 1) => "xor", (0, _) => string.Create(CultureInfo.InvariantCulture, $"rs(+{Losses})"), _ => string.Create(CultureInfo.InvariantCulture, $"rs({Data}+{Losses})") };

    [GeneratedRegex(@"^rs\((\d{0,3})\+(\d{1,3})\)$")]
    private static partial Regex ReedSolomon();
}
