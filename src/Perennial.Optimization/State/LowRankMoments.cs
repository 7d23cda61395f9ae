using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Optimization;

/// <summary>
/// Projectors onto the leading singular directions of matrices' gradients, and Adam's moments inside them (Zhao et al. 2024, "GaLore",
/// algorithm 2). For an m × n matrix the short side is projected to rank r: R = G·B (m ≥ n) or R = Bᵀ·G, B <c>[short, r]</c>.
/// </summary>
/// <remarks>
/// A new B comes from the present gradient alone; the moments stay as they are, expressed in the old one. That is the published method: an
/// approximation. B's signs are fixed (the largest component of a direction is positive), so that B is a function of the gradient.
/// </remarks>
internal sealed class LowRankMoments : IDisposable
{
    private readonly FlatParameters parameters;
    private readonly int rank;
    private readonly Dictionary<(string, int), (long Basis, long Moment)> places = [];
    private readonly Tensor basis, first, second;
    private readonly ScratchPool scratches = new();

    /// <param name="name">Prefix of the slots' names.</param>
    /// <param name="parameters">The parameters.</param>
    /// <param name="parts">The matrices.</param>
    /// <param name="rank">The rank; 0 for a quarter of the short side.</param>
    public LowRankMoments(string name, FlatParameters parameters, IReadOnlyList<MatrixPart> parts, int rank)
    {
        (this.parameters, this.rank) = (parameters, rank);
        long bases = 0, moments = 0;
        foreach (var part in parts)
        {
            places.Add((part.Entry.Name, part.Number), (bases, moments));
            bases += part.Short * RankOf(part, rank);
            moments += part.Long * RankOf(part, rank);
        }
        (basis, first, second) = (HugePages.Zeros(bases), HugePages.Zeros(moments), HugePages.Zeros(moments));
        var index = Index(part => part.Long * RankOf(part, rank));
        Slots = parts.Count == 0 ? [] :
        [
            new(name + ".basis", basis) { Index = Index(part => part.Short * RankOf(part, rank)) },
            new(name + ".first-moment", first) { Index = index }, new(name + ".second-moment", second) { Index = index },
        ];

        SlotIndex Index(Func<MatrixPart, long> length) => SlotIndex.Whole(parts.Select(part => (part.Name, part.Entry.Offset, part.Entry.Length, length(part))));
    }

    /// <summary>Basis, first and second moment.</summary>
    public IReadOnlyList<StateSlot> Slots { get; }

    /// <summary>The rank a matrix is projected to.</summary>
    public static long RankOf(MatrixPart part, int rank) => rank == 0 ? Math.Max(1, part.Short / 4) : Math.Min(rank, part.Short);

    /// <summary>Bytes: 4·r·(short + 2·long) a matrix.</summary>
    public static long Bytes(IEnumerable<MatrixPart> parts, int rank) => parts.Sum(part => RankOf(part, rank) * (part.Short + 2 * part.Long)) * sizeof(float);

    /// <summary>Bytes that a step moves: gradient read, parameter both ways, basis read, moments both ways.</summary>
    public static long MovedBytes(IEnumerable<MatrixPart> parts, int rank) =>
        parts.Sum(part => 3 * part.Rows * part.Columns + RankOf(part, rank) * (part.Short + 4 * part.Long)) * sizeof(float);

    /// <summary>Floating-point operations of one product with the basis on every matrix.</summary>
    public static double ProductFlops(IEnumerable<MatrixPart> parts, int rank) => parts.Sum(part => 2.0 * part.Rows * part.Columns * RankOf(part, rank));

    /// <summary>Takes a new basis from a gradient: its leading singular vectors on the short side, by the eigenvectors of the Gram matrix in double.</summary>
    public void Refresh(MatrixPart part, Tensor gradient)
    {
        using var scope = NewDisposeScope();
        var wide = gradient.to_type(ScalarType.Float64);
        var gram = part.Rows >= part.Columns ? wide.t().matmul(wide) : wide.matmul(wide.t());
        var (_, vectors) = linalg.eigh(gram);
        var r = RankOf(part, rank);
        // Eigenvalues rise: the leading directions are the last.
        var leading = vectors.narrow(1, part.Short - r, r).flip(1);
        var signs = leading.gather(0, leading.abs().argmax(0, keepdim: true)).sign();
        Basis(part).copy_(leading * signs);
    }

    /// <summary>R, dense, in a scratch; give it back with <see cref="Return"/>.</summary>
    public Tensor Project(MatrixPart part, Tensor gradient)
    {
        var r = RankOf(part, rank);
        var result = part.Rows >= part.Columns ? scratches.Rent(part.Rows, r) : scratches.Rent(r, part.Columns);
        using var scope = NewDisposeScope();
        if (part.Rows >= part.Columns) result.addmm_(gradient, Basis(part), 0, 1);
        else result.addmm_(Basis(part).t(), gradient, 0, 1);
        return result;
    }

    /// <summary>Takes R's scratch back.</summary>
    public void Return(Tensor projected) => scratches.Return(projected);

    /// <summary>target ← beta·target + alpha·(R carried back).</summary>
    public void CarryBack(MatrixPart part, Tensor projected, Tensor target, double beta, double alpha)
    {
        using var scope = NewDisposeScope();
        if (part.Rows >= part.Columns) target.addmm_(projected, Basis(part).t(), (float)beta, (float)alpha);
        else target.addmm_(Basis(part), projected, (float)beta, (float)alpha);
    }

    /// <summary>Moves the moments by R and turns R into m̂ / (√v̂ + ε), in place.</summary>
    public unsafe void Normalize(MatrixPart part, Tensor projected, AdamStep step)
    {
        var kernel = new AdamKernel(step);
        var r = (float*)TensorMemory.Address<float>(projected);
        var (m, v) = (TensorMemory.Address<float>(first), TensorMemory.Address<float>(second));
        var at = places[(part.Entry.Name, part.Number)].Moment;
        ThreadTeam.ForRows(projected.NumberOfElements, 1 << 15, (from, to) => kernel.Normalize(r + from, (float*)m + at + from, (float*)v + at + from, to - from));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        scratches.Dispose();
        foreach (var tensor in new[] { basis, first, second }) tensor.Dispose();
    }

    private Tensor Basis(MatrixPart part)
    {
        var r = RankOf(part, rank);
        return basis.narrow(0, places[(part.Entry.Name, part.Number)].Basis, part.Short * r).view(part.Short, r);
    }
}
