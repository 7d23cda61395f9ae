using Perennial.Tensors;

namespace Perennial.Optimization;

/// <summary>A stretch of parameters that one pass updates, and where its gradients and its slot elements lie.</summary>
/// <param name="Parameter">First element in the flat parameters.</param>
/// <param name="Gradient">First element in the gradient buffer.</param>
/// <param name="Slot">First element in the optimizer's slots.</param>
/// <param name="Length">Number of elements.</param>
/// <param name="Decays">Whether weight decay applies.</param>
internal readonly record struct UpdateRun(long Parameter, long Gradient, long Slot, long Length, bool Decays)
{
    private const long Piece = 1 << 18;

    /// <summary>The longest such stretches of some entries: two for a whole model whose layout puts what decays first.</summary>
    /// <param name="parameters">Where the entries' gradients lie.</param>
    /// <param name="entries">What is to be updated.</param>
    /// <param name="slots">Where the entries' slot elements lie.</param>
    public static IReadOnlyList<UpdateRun> Of(FlatParameters parameters, IEnumerable<FlatEntry> entries, SlotOffsets slots)
    {
        var runs = new List<UpdateRun>();
        foreach (var entry in entries)
        {
            var run = new UpdateRun(entry.Offset, parameters.GradientOffset(entry), slots[entry], entry.Length, entry.Decays);
            if (runs.Count > 0 && runs[^1].IsBefore(run)) runs[^1] = runs[^1] with { Length = runs[^1].Length + run.Length };
            else runs.Add(run);
        }
        return runs;
    }

    /// <summary>Calls <paramref name="body"/> with pieces of runs, on several threads; the pieces do not depend on the number of threads.</summary>
    public static void ForEachPiece(IReadOnlyList<UpdateRun> runs, Action<UpdateRun> body)
    {
        var pieces = new List<UpdateRun>();
        foreach (var run in runs)
            for (var done = 0L; done < run.Length; done += Piece)
                pieces.Add(new UpdateRun(run.Parameter + done, run.Gradient + done, run.Slot + done, Math.Min(Piece, run.Length - done), run.Decays));
        ThreadTeam.For(pieces.Count, index => body(pieces[index]));
    }

    private bool IsBefore(UpdateRun next) =>
        Decays == next.Decays && Parameter + Length == next.Parameter && Gradient + Length == next.Gradient && Slot + Length == next.Slot;
}
