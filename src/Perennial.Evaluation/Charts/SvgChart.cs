using System.Globalization;
using System.Net;
using System.Text;

namespace Perennial.Evaluation.Charts;

/// <summary>
/// Draws a <see cref="LineChart"/> as an inline SVG whose colours are the page's CSS variables (so that it follows light and dark),
/// with a title and description for screen readers and hover texts that need no script.
/// </summary>
/// <remarks>Own drawing and not a plotting library's SVG: those fix colours and fonts in the file and carry no hover text.</remarks>
public static class SvgChart
{
    private const double Width = 600, Height = 280, Left = 60, Top = 34, Bottom = 44;
    private const int DrawnPoints = 600, HoverPoints = 60, LabelHeight = 14;

    /// <summary>The <c>&lt;svg&gt;</c> element.</summary>
    public static string Render(LineChart chart)
    {
        ArgumentNullException.ThrowIfNull(chart);
        var series = chart.Series.Select(one => one with
        {
            Points = [.. one.Points.Where(point => double.IsFinite(point.X) && double.IsFinite(point.Y) && (!chart.Logarithmic || point.Y > 0))],
        }).ToList();
        var right = Width - (chart.Levels.Count > 0 ? 118 : chart.RightAxis is not null ? 72 : 18);
        var svg = new StringBuilder();
        svg.Append(Line($"<svg id=\"{Text(chart.Id)}\" class=\"chart\" viewBox=\"0 0 {Width} {Height}\" role=\"img\" aria-labelledby=\"{Text(chart.Id)}-t {Text(chart.Id)}-d\""));
        if (!series.Any(one => one.Points.Count > 0))
        {
            Title(svg, chart);
            svg.Append(Line($"<text class=\"empty\" x=\"{Width / 2}\" y=\"{Height / 2}\" text-anchor=\"middle\">nothing measured yet</text></svg>"));
            return svg.ToString().Replace("aria-labelledby", "data-empty=\"true\" aria-labelledby", StringComparison.Ordinal);
        }

        var all = series.SelectMany(one => one.Points).ToList();
        var (first, last) = (all.Min(point => point.X), all.Max(point => point.X));
        var x = ChartScale.Linear(first >= 0 && first < 0.2 * last ? 0 : first, last, Left, right, 6, roundEnds: false);
        var y = VerticalScale(chart, all);
        // The scale in numbers, for the script that shows values under the pointer.
        svg.Append(Line($" data-plot=\"{Left} {Top} {right} {Height - Bottom}\" data-x=\"{x.Low:R} {x.High:R}\" data-y=\"{y.Low:R} {y.High:R}\""));
        if (chart.Logarithmic) svg.Append(" data-log=\"true\"");
        Title(svg, chart);
        Axes(svg, chart, x, y, right);
        Marks(svg, chart, x);
        Levels(svg, chart, y, right);
        for (var i = 0; i < series.Count; i++) Series(svg, chart, series[i], i, x, y);
        Legend(svg, series);
        return svg.Append("</svg>").ToString();
    }

    private static ChartScale VerticalScale(LineChart chart, List<ChartPoint> all)
    {
        var values = all.Select(point => point.Y).Concat(chart.Levels.Select(level => level.Y)).ToList();
        if (chart.Logarithmic) return ChartScale.Logarithmic(values.Min(), values.Max(), Height - Bottom, Top);
        return ChartScale.Linear(chart.FromZero ? Math.Min(0, values.Min()) : values.Min(), values.Max(), Height - Bottom, Top, 5, roundEnds: true);
    }

    private static void Title(StringBuilder svg, LineChart chart) => svg.Append(Line(
        $"><title id=\"{Text(chart.Id)}-t\">{Text(chart.Title)}</title><desc id=\"{Text(chart.Id)}-d\">{Text(chart.Description)}</desc>"));

    private static void Axes(StringBuilder svg, LineChart chart, ChartScale x, ChartScale y, double right)
    {
        svg.Append("<g class=\"axes\">");
        foreach (var tick in y.Ticks)
        {
            svg.Append(Line($"<line class=\"grid\" x1=\"{Left}\" x2=\"{right}\" y1=\"{y.At(tick):0.#}\" y2=\"{y.At(tick):0.#}\"/>"));
            svg.Append(Line($"<text x=\"{Left - 7}\" y=\"{y.At(tick) + 4:0.#}\" text-anchor=\"end\">{Text(chart.Format(tick))}</text>"));
        }
        foreach (var tick in x.Ticks)
        {
            svg.Append(Line($"<line class=\"tick\" x1=\"{x.At(tick):0.#}\" x2=\"{x.At(tick):0.#}\" y1=\"{Height - Bottom}\" y2=\"{Height - Bottom + 4}\"/>"));
            svg.Append(Line($"<text x=\"{x.At(tick):0.#}\" y=\"{Height - Bottom + 17}\" text-anchor=\"middle\">{Text(Human.Number(tick))}</text>"));
        }
        svg.Append(Line($"<line class=\"base\" x1=\"{Left}\" x2=\"{right}\" y1=\"{Height - Bottom}\" y2=\"{Height - Bottom}\"/>"));
        svg.Append(Line($"<text class=\"label\" x=\"{(Left + right) / 2:0.#}\" y=\"{Height - 8}\" text-anchor=\"middle\">{Text(chart.XLabel)}</text>"));
        svg.Append(Line($"<text class=\"label\" transform=\"translate(13 {(Top + Height - Bottom) / 2:0.#}) rotate(-90)\" text-anchor=\"middle\">{Text(chart.YLabel)}</text>"));
        if (chart.RightAxis is { } axis)
        {
            foreach (var tick in ChartScale.Linear(y.Low * axis.Factor, y.High * axis.Factor, 0, 1, 5, roundEnds: false).Ticks)
                svg.Append(Line($"<text x=\"{right + 7}\" y=\"{y.At(tick / axis.Factor) + 4:0.#}\">{Text(axis.Format(tick))}</text>"));
            svg.Append(Line($"<text class=\"label\" transform=\"translate({Width - 6} {(Top + Height - Bottom) / 2:0.#}) rotate(-90)\" text-anchor=\"middle\">{Text(axis.Label)}</text>"));
        }
        svg.Append("</g>");
    }

    private static void Marks(StringBuilder svg, LineChart chart, ChartScale x)
    {
        foreach (var mark in chart.Marks.Where(mark => mark.X >= x.Low && mark.X <= x.High))
            svg.Append(Line($"<line class=\"mark{(mark.IsTrouble ? " trouble" : "")}\" x1=\"{x.At(mark.X):0.#}\" x2=\"{x.At(mark.X):0.#}\" y1=\"{Top}\" y2=\"{Height - Bottom}\"><title>{Text(mark.Name)}</title></line>"));
    }

    private static void Levels(StringBuilder svg, LineChart chart, ChartScale y, double right)
    {
        // Labels stand beside the plot, moved apart where lines are close.
        var floor = double.NegativeInfinity;
        foreach (var level in chart.Levels.OrderBy(level => y.At(level.Y)))
        {
            var at = y.At(level.Y);
            var label = Math.Max(at + 4, floor + LabelHeight);
            floor = label;
            var hover = $"{level.Name}: {chart.Format(level.Y)}";
            svg.Append(Line($"<g class=\"level\"><line x1=\"{Left}\" x2=\"{right}\" y1=\"{at:0.#}\" y2=\"{at:0.#}\"><title>{Text(hover)}</title></line>"));
            svg.Append(Line($"<path class=\"leader\" d=\"M{right} {at:0.#}L{right + 8} {label - 4:0.#}\"/><text x=\"{right + 11}\" y=\"{label:0.#}\">{Text(level.Name)} {Text(chart.Format(level.Y))}</text></g>"));
        }
    }

    private static void Series(StringBuilder svg, LineChart chart, ChartSeries series, int number, ChartScale x, ChartScale y)
    {
        if (series.Points.Count == 0) return;
        svg.Append(Line($"<g class=\"series c{number % 6} {series.Style.ToString().ToLowerInvariant()}\" data-name=\"{Text(series.Name)}\"><polyline points=\""));
        svg.AppendJoin(' ', Curve.Thin(series.Points, DrawnPoints).Select(point => Line($"{x.At(point.X):0.##},{y.At(point.Y):0.##}"))).Append("\"/>");
        if (series.Style != CurveStyle.Faint)
            foreach (var point in HoverStops(series))
                svg.Append(Line($"<circle cx=\"{x.At(point.X):0.#}\" cy=\"{y.At(point.Y):0.#}\" r=\"{(series.Style == CurveStyle.Dotted ? 3.2 : 6)}\"><title>{Text(series.Name)}, {Text(chart.XLabel)} {Text(Human.Whole(point.X))}: {Text(chart.Format(point.Y))}</title></circle>"));
        svg.Append("</g>");
    }

    private static IEnumerable<ChartPoint> HoverStops(ChartSeries series)
    {
        var every = Math.Max(1, (series.Points.Count + HoverPoints - 1) / HoverPoints);
        return series.Points.Where((_, i) => i % every == 0 || i == series.Points.Count - 1);
    }

    private static void Legend(StringBuilder svg, List<ChartSeries> series)
    {
        svg.Append("<g class=\"legend\">");
        var at = Left;
        for (var i = 0; i < series.Count; i++)
        {
            if (series[i].Points.Count == 0) continue;
            svg.Append(Line($"<g class=\"c{i % 6} {series[i].Style.ToString().ToLowerInvariant()}\"><line x1=\"{at}\" x2=\"{at + 18}\" y1=\"14\" y2=\"14\"/><text x=\"{at + 23}\" y=\"18\">{Text(series[i].Name)}</text></g>"));
            at += 40 + 6.6 * series[i].Name.Length;
        }
        svg.Append("</g>");
    }

    private static string Line(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);

    private static string Text(string text) => WebUtility.HtmlEncode(text);
}
