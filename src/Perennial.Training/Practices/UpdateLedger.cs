using System.ComponentModel.DataAnnotations;
using Perennial.Core;
using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Training.Practices;

/// <summary>Options of <see cref="UpdateLedger"/>.</summary>
public sealed record UpdateLedgerOptions
{
    /// <summary>How many blocks count as bottom and as top; a third of them, at least one, when not given.</summary>
    [Range(1, 10_000)]
    public int? Blocks { get; init; }
}

/// <summary>Tells at every evaluation how far the weights have gone since the stage began, bottom blocks against top ones: mean |θ − θ₀| / mean |θ₀| (Guo et al. 2024, arXiv 2406.14833). Changes nothing.</summary>
[Component("update-ledger")]
public sealed class UpdateLedger : Practice
{
    private readonly Tensor start;
    private readonly IReadOnlyList<FlatEntry> bottom, top;

    /// <summary>The first stage is measured from the initial weights.</summary>
    public UpdateLedger(UpdateLedgerOptions options, FlatParameters parameters)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(parameters);
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        start = parameters.Values.clone().DetachFromDisposeScope();
        var count = BlockEntries.Count(parameters.Layout);
        var each = Math.Min(options.Blocks ?? Math.Max(1, count / 3), count);
        bottom = BlockEntries.Of(parameters.Layout, 0, each);
        top = BlockEntries.Of(parameters.Layout, count - each, each);
    }

    /// <inheritdoc/>
    public override IReadOnlyList<StateSlot> Slots => [new("update-ledger.start", start)];

    /// <inheritdoc/>
    public override void AtInterval(PracticeContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        if (context.Stage.Step == 0) return;
        var (low, high) = (Relative(context, bottom), Relative(context, top));
        context.Services.Measure("update-ledger", new Dictionary<string, double> { ["bottom_update"] = low, ["top_update"] = high, ["bottom_to_top_update"] = high > 0 ? low / high : double.NaN });
    }

    /// <inheritdoc/>
    public override void StageEnded(PracticeContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        using var _ = no_grad();
        start.copy_(context.Model.Parameters.Values);
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        start.Dispose();
        base.Dispose();
    }

    private double Relative(PracticeContext context, IReadOnlyList<FlatEntry> entries)
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        double way = 0, size = 0;
        foreach (var entry in entries)
        {
            var (now, then) = (FlatParameters.View(context.Model.Parameters.Values, entry), FlatParameters.View(start, entry));
            way += now.sub(then).abs().sum(ScalarType.Float64).item<double>();
            size += then.abs().sum(ScalarType.Float64).item<double>();
        }
        return size > 0 ? way / size : double.NaN;
    }
}
