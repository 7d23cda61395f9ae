using System.Globalization;
using Perennial.Experiments.Statistics;

namespace Perennial.Experiments.Reports;

/// <summary>Numbers of a comparison as text, table and page write them.</summary>
internal static class Figures
{
    public static string Value(double value) => value.ToString("0.0000", CultureInfo.InvariantCulture).Replace('-', '−');

    public static string Signed(double value) => value.ToString("+0.00000;−0.00000;0.00000", CultureInfo.InvariantCulture);

    public static string Values(IEnumerable<double> values) => string.Join("  ", values.Select(Value));

    public static string Value(Interval interval) => $"{Value(interval.Mean)} [{Value(interval.Low)}, {Value(interval.High)}]";

    public static string Signed(Interval interval) => $"{Signed(interval.Mean)} [{Signed(interval.Low)}, {Signed(interval.High)}]";

    public static string Mark(bool holds) => holds ? "holds" : "fails";

    public static string Count(double value) => Evaluation.Charts.Human.Number(value);
}
