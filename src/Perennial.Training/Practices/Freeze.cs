using System.ComponentModel.DataAnnotations;
using Perennial.Core;
using Perennial.Data;
using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Training.Practices;

/// <summary>Options of <see cref="Freeze"/>.</summary>
public sealed record FreezeOptions : IValidatedOptions
{
    /// <summary>Blocks from the bottom that stay as they are.</summary>
    [Range(0, 10_000)]
    public int Bottom { get; init; }

    /// <summary>Blocks from the top that stay as they are.</summary>
    [Range(0, 10_000)]
    public int Top { get; init; }

    /// <inheritdoc/>
    public IEnumerable<(string Key, string Problem)> Problems()
    {
        if (Bottom + Top == 0) yield return ("bottom", "or 'top' must say how many blocks are frozen");
    }
}

/// <summary>Keeps the bottom or top blocks as they were when the stage began; everything else learns. A baseline of continual training: some of the old cannot be lost.</summary>
/// <remarks>The frozen gradient is zero before the norm is taken, and the weights are put back after the step, so neither decay nor old momentum moves them. One slot: a copy of the weights.</remarks>
[Component("freeze")]
public sealed class Freeze : Practice
{
    private readonly Tensor kept;
    private readonly IReadOnlyList<FlatEntry> frozen;

    /// <summary>Chooses the blocks.</summary>
    /// <exception cref="PerennialException">Exit 2: the model has no more blocks than are to be frozen.</exception>
    public Freeze(FreezeOptions options, FlatParameters parameters)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(parameters);
        var blocks = BlockEntries.Count(parameters.Layout);
        if (options.Bottom + options.Top > blocks) throw PerennialException.Usage($"practice freeze: {options.Bottom} bottom and {options.Top} top blocks of a model that has {blocks}");
        frozen = [.. BlockEntries.Of(parameters.Layout, 0, options.Bottom), .. BlockEntries.Of(parameters.Layout, blocks - options.Top, options.Top)];
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        kept = parameters.Values.clone().DetachFromDisposeScope();
    }

    /// <inheritdoc/>
    public override IReadOnlyList<StateSlot> Slots => [new("freeze.kept", kept)];

    /// <inheritdoc/>
    public override TokenBatch BeforeBatch(PracticeContext context, TokenBatch batch)
    {
        ArgumentNullException.ThrowIfNull(context);
        using var _ = no_grad();
        if (context.Stage.Step == 0) kept.copy_(context.Model.Parameters.Values);
        return batch;
    }

    /// <inheritdoc/>
    public override void AfterBackward(PracticeContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        foreach (var entry in frozen) FlatParameters.View(context.Model.Parameters.Gradients, entry).zero_();
    }

    /// <inheritdoc/>
    public override void AfterStep(PracticeContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        foreach (var entry in frozen) FlatParameters.View(context.Model.Parameters.Values, entry).copy_(FlatParameters.View(kept, entry));
        context.Model.ParametersChanged();
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        kept.Dispose();
        base.Dispose();
    }
}
