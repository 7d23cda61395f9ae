using System.ComponentModel.DataAnnotations;
using Perennial.Core;
using Perennial.Training.HeldOut;

namespace Perennial.Training.Recipes;

/// <summary>The recipe's <c>evaluation:</c>.</summary>
public sealed record EvaluationOptions
{
    /// <summary>How often held-out text is scored; it is scored at the end in any case. 0 means only then.</summary>
    public RunLength Every { get; init; } = new(0.1, RunUnit.Fraction);

    /// <summary>Further moments at which held-out text is scored, counted from the beginning of every stage: dense at first, they show the gap in which a new stage unlearns the old before it settles.</summary>
    public IReadOnlyList<RunLength> Probes { get; init; } = [];

    /// <summary>At most so many held-out tokens of each source are scored while training (whole documents from the first on, one at least); all when not given.</summary>
    [Range(1, long.MaxValue)]
    public Count? Tokens { get; init; }

    /// <summary>What is measured; <c>bits-per-byte</c> when not given.</summary>
    public IReadOnlyList<ComponentSpec<IEvaluationTask>> Tasks { get; init; } = [];

    /// <summary>Texts the model goes on from at every evaluation, shown in the report; none for no samples.</summary>
    public IReadOnlyList<string> Prompts { get; init; } = ["It is"];

    /// <summary>Tokens of each sample.</summary>
    [Range(1, 100_000)]
    public int SampleTokens { get; init; } = 48;
}
