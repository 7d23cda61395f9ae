using System.ComponentModel.DataAnnotations;
using Perennial.Core;
using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Optimization;

/// <summary>Options of <see cref="Fira"/>.</summary>
public sealed record FiraOptions : ProjectedOptions
{
    /// <summary>How much the norm of a matrix's residual update may grow from one step to the next; 0 for no limit.</summary>
    [Range(0.0, 1000)]
    public double Limiter { get; init; } = 1.01;

    /// <inheritdoc/>
    public override OptimizerCost Cost(FlatLayout layout)
    {
        ArgumentNullException.ThrowIfNull(layout);
        var (parts, rest) = Split(layout);
        return new(
            LowRankMoments.Bytes(parts, Rank) + parts.Count * sizeof(float) + AdamMoments.Bytes(rest), LowRankMoments.MovedBytes(parts, Rank) + AdamMoments.MovedBytes(rest),
            3 * LowRankMoments.ProductFlops(parts, Rank));
    }
}

/// <summary>
/// GaLore, and the part of the gradient that its projection leaves out, scaled as Adam scaled the projected part (Chen et al. 2024,
/// "Fira", algorithm 1): S = G − (R carried back), φᵢ = ‖Nᵢ‖ / (‖Rᵢ‖ + 1e-8) for every row (m ≥ n) or column, ΔW = −rate·(scale·(N carried
/// back) + φ⊙S); the norm of φ⊙S may grow by 1 % a step. Memory: GaLore's, and 4 bytes a matrix.
/// </summary>
[Component("fira")]
public sealed class Fira : IEntryOptimizer
{
    private readonly FiraOptions options;
    private readonly FlatParameters parameters;
    private readonly ProjectedMoments moments;
    private readonly Tensor norms;
    private readonly Dictionary<string, int> numbers;
    private readonly ScratchPool scratches = new();

    /// <summary>Bases and moments start at zero; the first step makes the first bases and is not limited.</summary>
    public Fira(FiraOptions options, FlatParameters parameters)
    {
        (this.options, this.parameters) = (options, parameters);
        moments = new ProjectedMoments("fira", options, parameters);
        var parts = moments.Parts;
        norms = HugePages.Zeros(parts.Count);
        numbers = parts.Select((part, i) => (part.Name, i)).ToDictionary(pair => pair.Name, pair => pair.i, StringComparer.Ordinal);
        StateSlot limiter = new("fira.residual-norms", norms) { Index = SlotIndex.Whole(parts.Select(part => (part.Name, part.Entry.Offset, part.Entry.Length, 1L))) };
        Slots = [.. moments.Low.Slots, .. parts.Count > 0 ? new[] { limiter } : [], .. moments.RestSlots];
    }

    /// <inheritdoc/>
    public IReadOnlyList<StateSlot> Slots { get; }

    /// <inheritdoc/>
    public bool NeedsWhole(FlatEntry entry)
    {
        ArgumentNullException.ThrowIfNull(entry);
        return entry.Kind == EntryKind.Matrix;
    }

    /// <inheritdoc/>
    public void Step(long step, double rate, double gradientScale) => StepEntries(parameters.Layout.Entries, step, rate, gradientScale);

    /// <inheritdoc/>
    public void StepEntries(IReadOnlyList<FlatEntry> entries, long step, double rate, double gradientScale) =>
        moments.Step(entries, step, rate, gradientScale, (part, projected, gradient, values) => Update(part, projected, gradient, values, step, rate, gradientScale));

    /// <inheritdoc/>
    public void Dispose()
    {
        moments.Dispose();
        norms.Dispose();
        scratches.Dispose();
    }

    private unsafe void Update(MatrixPart part, Tensor projected, Tensor gradient, Tensor values, long step, double rate, double gradientScale)
    {
        var low = moments.Low;
        var residual = scratches.Rent(part.Rows, part.Columns);
        residual.copy_(gradient);
        low.CarryBack(part, projected, residual, 1, -1);
        // Norms along the projected side: one number for every row or column that the residual shares.
        var side = part.Rows >= part.Columns ? 1 : 0;
        var before = projected.norm(side, keepdim: true) * gradientScale;
        low.Normalize(part, projected, options.Adam(step, rate, gradientScale));
        var factor = projected.norm(side, keepdim: true) / (before + 1e-8) * gradientScale;
        residual.mul_(factor);
        var size = Math.Sqrt(Squares.Sum((float*)TensorMemory.Address<float>(residual), part.Rows, (int)part.Columns, part.Columns));
        var kept = TensorMemory.Span<float>(norms);
        var last = kept[numbers[part.Name]];
        var shrink = options.Limiter > 0 && last > 0 && size > options.Limiter * last ? options.Limiter * last / size : 1;
        kept[numbers[part.Name]] = (float)(size * shrink);
        if (part.Entry.Decays && options.Decay > 0) values.mul_(1 - rate * options.Decay);
        values.add_(residual, alpha: -rate * shrink);
        low.CarryBack(part, projected, values, 1, -rate * options.Scale);
        scratches.Return(residual);
    }
}
