using System.ComponentModel.DataAnnotations;
using Perennial.Core;

namespace Perennial.Resilience.Restart;

/// <summary>When an attempt is stopped early.</summary>
public enum RestartWhen
{
    /// <summary>Never.</summary>
    Never,

    /// <summary>When its failure is predicted and aborting is known to pay.</summary>
    PredictedFailure,
}

/// <summary>
/// The recipe's <c>resilience.restart</c>: when a run that is predicted to fail is stopped, and how the next one differs (paper 19).
/// </summary>
public sealed record RestartOptions : IValidatedOptions
{
    /// <summary>When an attempt is stopped.</summary>
    public RestartWhen When { get; init; } = RestartWhen.PredictedFailure;

    /// <summary>Aborting begins when the probability that it pays is at least this.</summary>
    [Range(0.5, 1.0)]
    public double Confidence { get; init; } = 0.95;

    /// <summary>Aborting ends when that probability falls below this: the hysteresis.</summary>
    [Range(0.0, 1.0)]
    public double Leave { get; init; } = 0.80;

    /// <summary>ε: share of predicted failures that run to their end all the same, so that the detector stays measured.</summary>
    [Range(0.0, 1.0, MinimumIsExclusive = true)]
    public double Shadow { get; init; } = 0.1;

    /// <summary>What a restart changes: <c>seed</c>, <c>skip-batches N</c>, <c>rate*X</c>. At least one: the same draw would fail again.</summary>
    [MinLength(1)]
    public IReadOnlyList<string> Change { get; init; } = ["seed"];

    /// <summary>The most restarts; after them every attempt runs to its end and an alarm is raised.</summary>
    [Range(0, int.MaxValue)]
    public int Maximum { get; init; } = 5;

    /// <summary>Known successes, and known failures, before anything is aborted.</summary>
    [Range(1, int.MaxValue)]
    public int Evidence { get; init; } = 10;

    /// <summary>Draws from the posterior at every judgement.</summary>
    [Range(100, 1_000_000)]
    public int Draws { get; init; } = 2_000;

    /// <inheritdoc/>
    public IEnumerable<(string Key, string Problem)> Problems()
    {
        if (Leave > Confidence) yield return ("leave", $"is {Leave} and must not be above 'confidence' ({Confidence})");
        foreach (var change in Change)
        {
            if (DrawChange.TryParse(change) is null) yield return ("change", $"has '{change}'; known: seed, skip-batches N, rate*X with X above 0 and not 1");
        }
    }
}
