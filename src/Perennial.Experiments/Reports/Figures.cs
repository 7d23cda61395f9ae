using System.Globalization;
using Perennial.Experiments.Statistics;

namespace Perennial.Experiments.Reports;

/// <summary>Numbers of a comparison as text, table and page write them: four decimals for trainings, six digits for an experiment's measures.</summary>
/// <param name="digits">Whether values are written with six digits.</param>
internal sealed class Figures(bool digits)
{
    public static Figures Of(ExperimentResult result) => new(result.Measured);

    public string Value(double value) => digits ? Digits(value) : value.ToString("0.0000", CultureInfo.InvariantCulture).Replace('-', '−');

    public string Signed(double value) => digits ? (value > 0 ? "+" : "") + Digits(value) : value.ToString("+0.00000;−0.00000;0.00000", CultureInfo.InvariantCulture);

    public string Values(IEnumerable<double> values) => string.Join("  ", values.Select(Value));

    public string Value(Interval interval) => $"{Value(interval.Mean)} [{Value(interval.Low)}, {Value(interval.High)}]";

    public string Signed(Interval interval) => $"{Signed(interval.Mean)} [{Signed(interval.Low)}, {Signed(interval.High)}]";

    public static string Digits(double value) => value.ToString("G6", CultureInfo.InvariantCulture).Replace('-', '−');

    public static string Mark(bool holds) => holds ? "holds" : "fails";

    public static string Count(double value) => Evaluation.Charts.Human.Number(value);

    /// <summary>How much was run, in words: <c>12 runs of 1.05M tokens, 0.14M parameters</c>, or <c>12 runs</c> where nothing was trained.</summary>
    public static string Effort(ExperimentResult result) => result.TokensPerRun == 0 ? $"{result.Runs} runs"
        : $"{result.Runs} runs of {Count(result.TokensPerRun)} tokens, {Count(result.Parameters)} parameters";
}
