using Perennial.Tensors;

namespace Perennial.Optimization;

/// <summary>A stretch of a flat buffer with one answer to "does it decay?".</summary>
/// <param name="Offset">First element.</param>
/// <param name="Length">Number of elements.</param>
/// <param name="Decays">Whether weight decay applies.</param>
public readonly record struct DecayRun(long Offset, long Length, bool Decays)
{
    /// <summary>The longest such stretches of a layout, in order; two when a layout puts what decays first.</summary>
    public static IReadOnlyList<DecayRun> Of(FlatLayout layout)
    {
        ArgumentNullException.ThrowIfNull(layout);
        var runs = new List<DecayRun>();
        foreach (var entry in layout.Entries)
            if (runs.Count > 0 && runs[^1].Decays == entry.Decays)
                runs[^1] = runs[^1] with { Length = runs[^1].Length + entry.Length };
            else
                runs.Add(new DecayRun(entry.Offset, entry.Length, entry.Decays));
        return runs;
    }

    /// <summary>Calls <paramref name="body"/> with pieces of a layout's runs, on several threads; pieces depend on the layout alone.</summary>
    internal static void ForEachPiece(IReadOnlyList<DecayRun> runs, Action<DecayRun> body)
    {
        const long piece = 1 << 18;
        var pieces = new List<DecayRun>();
        foreach (var run in runs)
            for (var offset = 0L; offset < run.Length; offset += piece)
                pieces.Add(new DecayRun(run.Offset + offset, Math.Min(piece, run.Length - offset), run.Decays));
        ThreadTeam.For(pieces.Count, index => body(pieces[index]));
    }
}
