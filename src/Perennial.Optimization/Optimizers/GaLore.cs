using Perennial.Core;
using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Optimization;

/// <summary>Options of <see cref="GaLore"/>.</summary>
public sealed record GaLoreOptions : ProjectedOptions
{
    /// <inheritdoc/>
    public override OptimizerCost Cost(FlatLayout layout)
    {
        ArgumentNullException.ThrowIfNull(layout);
        var (parts, rest) = Split(layout);
        return new(LowRankMoments.Bytes(parts, Rank) + AdamMoments.Bytes(rest), LowRankMoments.MovedBytes(parts, Rank) + AdamMoments.MovedBytes(rest), 2 * LowRankMoments.ProductFlops(parts, Rank));
    }
}

/// <summary>
/// Adam on gradients projected to a low rank (Zhao et al. 2024, "GaLore", algorithm 2): every <c>update-gap</c> steps the leading singular
/// vectors of a matrix's gradient become its basis; ΔW = −rate·scale·(m̂/(√v̂ + ε) carried back). AdamW for tables and vectors.
/// Memory: 4·r·(short + 2·long) bytes a matrix, 8 bytes a parameter of the rest.
/// </summary>
[Component("galore")]
public sealed class GaLore : IEntryOptimizer
{
    private readonly GaLoreOptions options;
    private readonly FlatParameters parameters;
    private readonly LowRankMoments low;
    private readonly AdamMoments rest;

    /// <summary>Bases and moments start at zero; the first step makes the first bases.</summary>
    public GaLore(GaLoreOptions options, FlatParameters parameters)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(parameters);
        (this.options, this.parameters) = (options, parameters);
        var (parts, others) = ProjectedOptions.Split(parameters.Layout);
        low = new LowRankMoments("galore", parameters, parts, options.Rank);
        rest = new AdamMoments("galore.rest", parameters, others);
        Slots = [.. low.Slots, .. rest.Slots];
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
    public void StepEntries(IReadOnlyList<FlatEntry> entries, long step, double rate, double gradientScale)
    {
        rest.Step(entries, options.Adam(step, options.RestRate(rate), gradientScale));
        foreach (var part in MatrixPart.Of(entries))
        {
            using var scope = NewDisposeScope();
            using var _ = no_grad();
            var (gradient, values) = (part.View(parameters.Gradients, parameters.GradientOffset(part.Entry)), part.View(parameters.Values, part.Entry.Offset));
            if (options.IsRefresh(step)) low.Refresh(part, gradient);
            var projected = low.Project(part, gradient);
            low.Normalize(part, projected, options.Adam(step, rate, gradientScale));
            low.CarryBack(part, projected, values, part.Entry.Decays ? 1 - rate * options.Decay : 1, -rate * options.Scale);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        low.Dispose();
        rest.Dispose();
    }
}
