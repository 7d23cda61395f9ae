using Perennial.Experiments.Papers;
using Perennial.Experiments.Statistics;

namespace Perennial.Experiments.Verdicts;

/// <summary>What became of a condition.</summary>
/// <param name="Condition">The condition.</param>
/// <param name="Lowest">The cell of lowest mean, where the condition speaks of it; otherwise null.</param>
/// <param name="Values">The contrast of each seed; empty for <c>lowest-in</c>.</param>
/// <param name="Interval">Mean of the contrast with its interval; null for <c>lowest-in</c>.</param>
/// <param name="Meeting">Seeds whose own contrast meets the threshold.</param>
/// <param name="Holds">Whether it holds.</param>
public sealed record ConditionResult(Condition Condition, string? Lowest, IReadOnlyList<double> Values, Interval? Interval, int Meeting, bool Holds);

/// <summary>What became of a hypothesis.</summary>
/// <param name="Hypothesis">The hypothesis.</param>
/// <param name="Conditions">Its conditions in order.</param>
public sealed record HypothesisResult(Hypothesis Hypothesis, IReadOnlyList<ConditionResult> Conditions)
{
    /// <summary>Whether all conditions hold.</summary>
    public bool Holds => Conditions.All(condition => condition.Holds);
}

/// <summary>From measured values to a verdict: a pure function of what is printed, and of thresholds that stand in <c>paper.yaml</c>.</summary>
public static class VerdictRule
{
    /// <summary>Judges every hypothesis.</summary>
    public static IReadOnlyList<HypothesisResult> Judge(IReadOnlyList<Hypothesis> hypotheses, Measurements measured)
    {
        ArgumentNullException.ThrowIfNull(hypotheses);
        ArgumentNullException.ThrowIfNull(measured);
        return [.. hypotheses.Select(hypothesis => new HypothesisResult(hypothesis, [.. hypothesis.Conditions.Select(condition => Judge(condition, measured))]))];
    }

    /// <summary>The verdict that follows (see <see cref="VerdictWords.Rule"/>).</summary>
    public static Verdict Of(IReadOnlyList<HypothesisResult> judged) =>
        judged.All(hypothesis => hypothesis.Holds) ? Verdict.Holds
        : judged.Any(hypothesis => hypothesis.Hypothesis.Decides && !hypothesis.Holds) ? Verdict.DoesNotHold
        : Verdict.Mixed;

    private static ConditionResult Judge(Condition condition, Measurements measured)
    {
        if (condition.LowestIn.Count > 0)
        {
            var lowest = measured.Lowest.ToString();
            return new(condition, lowest, [], null, 0, condition.LowestIn.Contains(lowest));
        }
        var values = measured.Contrast(condition.Contrast);
        var interval = Bootstrap.Mean(values);
        var meeting = values.Count(Meets);
        return new(condition, condition.Contrast.ContainsKey(Condition.Lowest) ? measured.Lowest.ToString() : null, values, interval, meeting,
            Meets(measured.Rounding.Dust(interval.Mean)) && meeting >= condition.Needed(values.Count));

        bool Meets(double value) => condition.AtMost is { } most ? value <= most : value >= condition.AtLeast;
    }
}
