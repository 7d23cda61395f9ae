using System.ComponentModel.DataAnnotations;
using Perennial.Core;
using Perennial.Training.HeldOut;

namespace Perennial.Training.Recipes;

/// <summary>The recipe's <c>evaluation:</c>.</summary>
public sealed record EvaluationOptions
{
    /// <summary>How often held-out text is scored; it is scored at the end in any case. 0 means only then.</summary>
    public RunLength Every { get; init; } = new(0.1, RunUnit.Fraction);

    /// <summary>What is measured; <c>bits-per-byte</c> when not given.</summary>
    public IReadOnlyList<ComponentSpec<IEvaluationTask>> Tasks { get; init; } = [];

    /// <summary>Texts the model goes on from at every evaluation, shown in the report; none for no samples.</summary>
    public IReadOnlyList<string> Prompts { get; init; } = ["It is"];

    /// <summary>Tokens of each sample.</summary>
    [Range(1, 100_000)]
    public int SampleTokens { get; init; } = 48;
}
