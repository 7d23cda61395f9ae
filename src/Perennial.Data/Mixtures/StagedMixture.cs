using System.ComponentModel.DataAnnotations;
using Perennial.Core;

namespace Perennial.Data.Mixtures;

/// <summary>Options of <see cref="StagedMixture"/>.</summary>
public sealed record StagedMixtureOptions : IValidatedOptions
{
    /// <summary>The stages in order.</summary>
    [MinLength(1)]
    public required IReadOnlyList<MixtureStage> Stages { get; init; }

    /// <inheritdoc/>
    public IEnumerable<(string Key, string Problem)> Problems()
    {
        for (var i = 0; i < Stages.Count; i++)
        {
            if (!MixtureWeights.Are(Stages[i].Weights)) yield return ("stages", $"stage {i + 1}: {MixtureWeights.Rule}");
            if (i < Stages.Count - 1 && Stages[i].For is not { Amount: > 0 }) yield return ("stages", $"stage {i + 1} needs 'for' (such as 60% or 2M tokens): only the last may go on to the end");
        }
        if (Stages[^1].For is not null) yield return ("stages", "the last stage goes on to the end of the run; leave out its 'for'");
    }
}

/// <summary>Weights for a stretch of the run.</summary>
public sealed record MixtureStage
{
    /// <summary>How long it lasts, in tokens, steps or a share of the run; left out in the last stage.</summary>
    public RunLength? For { get; init; }

    /// <summary>A weight for each source, in the recipe's order.</summary>
    public required IReadOnlyList<double> Weights { get; init; }
}

/// <summary>Fixed weights, stage after stage: general text first, a better or newer source toward the end.</summary>
[Component("staged")]
public sealed class StagedMixture : IMixture
{
    private readonly StagedMixtureOptions options;
    private readonly long[] ends;

    /// <summary>Lays the stages out.</summary>
    /// <exception cref="PerennialException">Exit 2: a stage's weights are not one for each source.</exception>
    public StagedMixture(StagedMixtureOptions options, MixtureContext context)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(context);
        this.options = options;
        foreach (var stage in options.Stages) MixtureWeights.RequireOneEach(stage.Weights, context, "data.mixture.stages");
        ends = new long[options.Stages.Count];
        for (var i = 0; i < ends.Length; i++) ends[i] = options.Stages[i].For is { } length ? (i == 0 ? 0 : ends[i - 1]) + context.Run.ToSamples(length) : long.MaxValue;
    }

    /// <inheritdoc/>
    public long Next(long position) => ends[Stage(position)];

    /// <inheritdoc/>
    public IReadOnlyList<double> Weights(MixtureMoment moment, IReadOnlyList<double>? losses)
    {
        ArgumentNullException.ThrowIfNull(moment);
        return options.Stages[Stage(moment.Position)].Weights;
    }

    private int Stage(long position) => Array.FindIndex(ends, end => position < end);
}
