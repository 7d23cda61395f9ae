using Perennial.Experiments.Statistics;

namespace Perennial.Experiments.Reports;

/// <summary>The result of a comparison: <c>result.json</c>, and all that text, table and page are made of.</summary>
public sealed record ExperimentResult
{
    /// <summary>The paper's number.</summary>
    public required int Number { get; init; }

    /// <summary>The paper's title.</summary>
    public required string Title { get; init; }

    /// <summary>What it claims.</summary>
    public required string Claim { get; init; }

    /// <summary>What was measured here.</summary>
    public required string Measure { get; init; }

    /// <summary><c>holds</c>, <c>mixed</c>, <c>does not hold here</c>.</summary>
    public required string Verdict { get; init; }

    /// <summary>The rule by which the verdict follows from the numbers.</summary>
    public required string Rule { get; init; }

    /// <summary>The size that was run.</summary>
    public required string Tier { get; init; }

    /// <summary>The seeds.</summary>
    public required IReadOnlyList<ulong> Seeds { get; init; }

    /// <summary>The metric; lower is better.</summary>
    public required string Metric { get; init; }

    /// <summary>Whether an experiment measured the values (their units differ, six digits) and not trainings (one metric, four decimals).</summary>
    public bool Measured { get; init; }

    /// <summary>The shared search; null when there was none, or one for each arm.</summary>
    public TuningResult? Tuning { get; init; }

    /// <summary>The searches of each arm for itself; empty when there was one for all, or none.</summary>
    public IReadOnlyList<TuningResult> Searches { get; init; } = [];

    /// <summary>Every search, shared or not.</summary>
    [System.Text.Json.Serialization.JsonIgnore]
    public IEnumerable<TuningResult> AllSearches => Tuning is null ? Searches : [Tuning];

    /// <summary>Every cell.</summary>
    public required IReadOnlyList<CellResult> Cells { get; init; }

    /// <summary>Every hypothesis.</summary>
    public required IReadOnlyList<JudgedHypothesis> Hypotheses { get; init; }

    /// <summary>Remarks for readers.</summary>
    public required IReadOnlyList<string> Notes { get; init; }

    /// <summary>Parameters of the trained models.</summary>
    public required long Parameters { get; init; }

    /// <summary>Tokens of one run.</summary>
    public required long TokensPerRun { get; init; }

    /// <summary>Training runs, the search's included.</summary>
    public required int Runs { get; init; }

    /// <summary>Training floating-point operations of all arms' runs.</summary>
    public required double Flops { get; init; }

    /// <summary>Wall time of the call that finished it, seconds.</summary>
    public required double Seconds { get; init; }

    /// <summary>When it was finished, UTC.</summary>
    public required DateTimeOffset Finished { get; init; }

    /// <summary>What it ran on.</summary>
    public required string Machine { get; init; }
}

/// <summary>A value that the search tried.</summary>
/// <param name="Value">The value.</param>
/// <param name="Mean">Mean of the metric over the search's seeds.</param>
public sealed record TunedValue(string Value, double Mean);

/// <summary>What the search did.</summary>
/// <param name="Key">The recipe key.</param>
/// <param name="Cell">The cell it looked at.</param>
/// <param name="Seeds">The seeds it used.</param>
/// <param name="Tried">Every value.</param>
/// <param name="Chosen">The winner.</param>
/// <param name="AtEdge">Whether the winner is the first or last value: the best may lie outside.</param>
public sealed record TuningResult(string Key, string Cell, IReadOnlyList<ulong> Seeds, IReadOnlyList<TunedValue> Tried, string Chosen, bool AtEdge);

/// <summary>The values of a cell.</summary>
/// <param name="Cell">Its written name.</param>
/// <param name="Arm">Its arm.</param>
/// <param name="Weights">Its weights; in an experiment the measure.</param>
/// <param name="Values">One a seed, rounded to four decimals.</param>
/// <param name="Mean">Their mean with its 95 % interval.</param>
/// <param name="IsLowest">Whether its mean is the lowest.</param>
public sealed record CellResult(string Cell, string Arm, string Weights, IReadOnlyList<double> Values, Interval Mean, bool IsLowest);

/// <summary>A condition and what became of it.</summary>
/// <param name="Text">The condition in words and numbers.</param>
/// <param name="Values">The contrast of each seed.</param>
/// <param name="Mean">Their mean with its 95 % interval; null where the condition is not a contrast.</param>
/// <param name="Threshold">The threshold; null where there is none.</param>
/// <param name="Meeting">Seeds that meet the threshold.</param>
/// <param name="Needed">Seeds that must.</param>
/// <param name="Found">What was found, in words.</param>
/// <param name="Holds">Whether it holds.</param>
public sealed record JudgedCondition(string Text, IReadOnlyList<double> Values, Interval? Mean, double? Threshold, int Meeting, int Needed, string Found, bool Holds);

/// <summary>A hypothesis and what became of it.</summary>
/// <param name="Id">Its short name.</param>
/// <param name="Statement">Its sentence.</param>
/// <param name="Decides">Whether the claim is refuted when it fails.</param>
/// <param name="Conditions">Its conditions.</param>
/// <param name="Holds">Whether it holds.</param>
public sealed record JudgedHypothesis(string Id, string Statement, bool Decides, IReadOnlyList<JudgedCondition> Conditions, bool Holds);
