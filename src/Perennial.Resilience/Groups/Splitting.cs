namespace Perennial.Resilience.Groups;

/// <summary>Who goes where when a group splits: pure arithmetic on everybody's color and key.</summary>
internal static class Splitting
{
    /// <summary>Exchanges colors and keys with all ranks and returns this rank's sub-group as ranks of the parent, in their new order.</summary>
    public static int[] Members(ICommunicator parent, int color, int key, CallOptions options)
    {
        var all = new long[parent.Size * 2];
        var counts = new long[parent.Size];
        Array.Fill(counts, 2);
        parent.AllGather([color, key], all, counts, options);
        return Members(all, color);
    }

    /// <summary>The ranks of one color, ordered by (key, rank). <paramref name="colorsAndKeys"/> holds color, key of each rank in turn.</summary>
    public static int[] Members(ReadOnlySpan<long> colorsAndKeys, int color)
    {
        var members = new List<(long Key, int Rank)>();
        for (var rank = 0; rank < colorsAndKeys.Length / 2; rank++)
            if (colorsAndKeys[2 * rank] == color) members.Add((colorsAndKeys[2 * rank + 1], rank));
        return [.. members.Order().Select(member => member.Rank)];
    }
}
