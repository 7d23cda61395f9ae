using Perennial.Core;
using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Optimization;

/// <summary>
/// One linear map inside an entry: the entry itself, or one of the matrices that stand side by side in its columns (GPT-2's fused q, k,
/// v). Methods that treat a matrix as a matrix must see each by itself.
/// </summary>
/// <param name="Entry">The entry.</param>
/// <param name="Number">Its number among the entry's.</param>
/// <param name="Rows">m.</param>
/// <param name="Columns">n.</param>
/// <param name="First">First of its columns in the entry.</param>
internal sealed record MatrixPart(FlatEntry Entry, int Number, long Rows, long Columns, long First)
{
    /// <summary>The shorter side.</summary>
    public long Short => Math.Min(Rows, Columns);

    /// <summary>The longer side.</summary>
    public long Long => Math.Max(Rows, Columns);

    /// <summary>Its name: the entry's, with a number where the entry holds several.</summary>
    public string Name => Entry.Columns.Count > 1 ? $"{Entry.Name}#{Number}" : Entry.Name;

    /// <summary>Elements from one row to the next.</summary>
    public long Stride => Entry.Shape[1];

    /// <summary>The matrices of some entries, in order; tables and vectors have none.</summary>
    /// <exception cref="PerennialException">Exit 2: a process has only a part of a matrix.</exception>
    public static IEnumerable<MatrixPart> Of(IEnumerable<FlatEntry> entries)
    {
        foreach (var entry in entries.Where(entry => entry.Kind == EntryKind.Matrix))
        {
            RequireWhole(entry);
            if (entry.Columns.Count <= 1)
            {
                yield return new MatrixPart(entry, 0, entry.Shape[0], entry.Shape[1], 0);
                continue;
            }
            var first = 0L;
            for (var i = 0; i < entry.Columns.Count; i++)
            {
                yield return new MatrixPart(entry, i, entry.Shape[0], entry.Columns[i], first);
                first += entry.Columns[i];
            }
        }
    }

    /// <summary>
    /// Does something with every matrix: small ones go a thread each, largest first, which wastes less than sharing every operation; others come one
    /// after another and have all threads. Results must not depend on the order.
    /// </summary>
    public static void ForEach(IEnumerable<MatrixPart> parts, Action<MatrixPart> body)
    {
        const long largestAlone = 1 << 20;
        var matrices = parts.ToLookup(part => part.Rows * part.Columns <= largestAlone);
        foreach (var part in matrices[false]) body(part);
        var small = matrices[true].OrderByDescending(part => part.Rows * part.Columns).ToList();
        // In a team of several even where there is one, which leaves each a single thread for its operations: the bits must not depend on how many go at once.
        if (small.Count > 0) ThreadTeam.For(Math.Max(2, small.Count), i => { if (i < small.Count) body(small[i]); });
    }

    /// <summary>Refuses a part of a tensor: what is orthogonalized, projected or factored must be whole.</summary>
    /// <exception cref="PerennialException">Exit 2.</exception>
    public static void RequireWhole(FlatEntry entry)
    {
        if (entry.IsPart)
            throw PerennialException.Usage($"optimizer: this method needs '{entry.Name}' whole, but a process has only a part of it (tensor parallelism, or a ZeRO cut inside tensors); use data parallelism with cuts between tensors, or an element-wise optimizer such as adamw");
    }

    /// <summary>Its view inside a buffer; dispose it.</summary>
    /// <param name="buffer">A flat buffer.</param>
    /// <param name="offset">Where the entry begins in it.</param>
    public Tensor View(Tensor buffer, long offset)
    {
        using var slice = buffer.narrow(0, offset, Entry.Length);
        using var whole = slice.view(Entry.Shape[0], Entry.Shape[1]);
        return whole.narrow(1, First, Columns);
    }
}
