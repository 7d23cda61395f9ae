using System.Globalization;
using System.Runtime.InteropServices;
using Perennial.Experiments.Papers;
using Perennial.Experiments.Runs;
using Perennial.Experiments.Statistics;
using Perennial.Experiments.Verdicts;

namespace Perennial.Experiments.Reports;

/// <summary>Puts a result together from what was measured and judged.</summary>
internal static class ResultBuilder
{
    public static ExperimentResult Build(Paper paper, Tier tier, Measurements measured, IReadOnlyList<HypothesisResult> judged, IReadOnlyList<TuningResult> searches,
        IReadOnlyDictionary<(string Arm, ulong Seed), TrialOutcome> outcomes, double seconds) => new()
        {
            Number = paper.Number,
            Title = paper.Title,
            Claim = paper.Claim.Trim(),
            Measure = paper.Measure.Trim(),
            Verdict = VerdictRule.Of(judged).Words(),
            Rule = VerdictWords.Rule(paper.Rounding),
            Tier = tier.Name,
            Seeds = measured.Seeds,
            Metric = paper.Experiment is null ? paper.Metric : "value",
            Measured = paper.Experiment is not null,
            Tuning = searches is [var only] ? only : null,
            Searches = searches.Count > 1 ? searches : [],
            Cells = [.. measured.Cells.Select(cell => new CellResult(cell.ToString(), cell.Arm, cell.Weights, measured[cell.ToString()],
                Rounded(Bootstrap.Mean(measured[cell.ToString()]), measured.Rounding), paper.Experiment is null && cell == measured.Lowest))],
            Hypotheses = [.. judged.Select(one => Judged(one, measured.Rounding))],
            Notes = paper.Notes,
            Parameters = outcomes.Values.First().Parameters,
            TokensPerRun = outcomes.Values.First().Tokens,
            Runs = outcomes.Count + searches.Sum(search => (search.Tried.Count - 1) * search.Seeds.Count),
            Flops = outcomes.Values.Sum(outcome => outcome.Flops),
            Seconds = Math.Round(seconds, 1),
            Finished = DateTimeOffset.UtcNow,
            Machine = $"{RuntimeInformation.OSDescription.Trim()}, {Environment.ProcessorCount} logical cores, {RuntimeInformation.FrameworkDescription}",
        };

    private static JudgedHypothesis Judged(HypothesisResult result, Rounding rounding) => new(result.Hypothesis.Id, result.Hypothesis.Statement.Trim(), result.Hypothesis.Decides,
        [.. result.Conditions.Select(condition => Judged(condition, rounding))], result.Holds);

    private static JudgedCondition Judged(ConditionResult result, Rounding rounding)
    {
        var condition = result.Condition;
        if (result.Interval is not { } interval)
            return new($"the lowest mean of all cells belongs to one of: {string.Join(", ", condition.LowestIn)}", [], null, null, 0, 0, $"lowest: {result.Lowest}", result.Holds);
        var threshold = condition.AtMost ?? condition.AtLeast!.Value;
        var needed = condition.Needed(result.Values.Count);
        var text = $"{Terms(condition.Contrast)} {(condition.AtMost is null ? "≥" : "≤")} {Number(threshold, rounding)}"
            + (needed > 0 ? $", also in at least {needed} of {result.Values.Count} seeds" : "");
        var rounded = Rounded(interval, rounding);
        return new(text, result.Values, rounded, threshold, result.Meeting, needed,
            $"{Number(rounded.Mean, rounding)} [{Number(rounded.Low, rounding)}, {Number(rounded.High, rounding)}], {result.Meeting} of {result.Values.Count} seeds{(result.Lowest is null ? "" : $"; lowest: {result.Lowest}")}", result.Holds);
    }

    private static string Terms(IReadOnlyDictionary<string, double> contrast) => string.Concat(contrast.Select((term, i) =>
    {
        var sign = term.Value < 0 ? (i == 0 ? "−" : " − ") : i == 0 ? "" : " + ";
        var size = Math.Abs(term.Value) == 1 ? "" : $"{Math.Abs(term.Value).ToString("0.###", CultureInfo.InvariantCulture)}·";
        return sign + size + term.Key;
    }));

    private static Interval Rounded(Interval interval, Rounding rounding)
    {
        return new(Round(interval.Mean), Round(interval.Low), Round(interval.High));

        double Round(double value) => rounding == Rounding.FourDecimals ? Math.Round(value, 5) : rounding.Round(value);
    }

    private static string Number(double value, Rounding rounding) => rounding == Rounding.FourDecimals
        ? value.ToString("0.0####;−0.0####", CultureInfo.InvariantCulture) : Figures.Digits(value);
}
