using System.Globalization;
using System.Text;
using Perennial.Evaluation.Reports;
using Perennial.Experiments.Statistics;

namespace Perennial.Experiments.Reports;

/// <summary>One row of a <see cref="ForestPlot"/>.</summary>
/// <param name="Label">Its name.</param>
/// <param name="Mean">The dot and the line through it.</param>
/// <param name="Values">Small dots: the single seeds.</param>
/// <param name="Colour">Number of the page's colour, 0 to 5.</param>
/// <param name="Emphasis">Whether its name is written boldly.</param>
internal sealed record ForestRow(string Label, Interval Mean, IReadOnlyList<double> Values, int Colour, bool Emphasis);

/// <summary>Means with their intervals and single values, one a line, as an inline SVG in the page's colours.</summary>
internal static class ForestPlot
{
    private const double Width = 920, Left = 250, Right = 890, RowHeight = 24, Top = 16;

    public static string Render(string id, string title, string description, string axis, IReadOnlyList<ForestRow> rows, Figures figures)
    {
        var all = rows.SelectMany(row => row.Values.Append(row.Mean.Low).Append(row.Mean.High)).ToList();
        var (low, high) = (all.Min(), all.Max());
        if (high - low <= 1e-9 * Math.Max(Math.Abs(low), Math.Abs(high)))
        {
            var half = low == 0 ? 0.01 : 0.01 * Math.Abs(low);
            (low, high) = (low - half, high + half);
        }
        var step = Step((high - low) / 6);
        (low, high) = (Math.Floor(low / step) * step, Math.Ceiling(high / step) * step);
        var bottom = Top + rows.Count * RowHeight;
        double X(double value) => Left + (value - low) / (high - low) * (Right - Left);

        var svg = new StringBuilder();
        svg.Append(Line($"<svg id=\"{id}\" class=\"chart forest\" viewBox=\"0 0 {Width} {bottom + 46}\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\"><title id=\"{id}-t\">{HtmlPage.Text(title)}</title><desc id=\"{id}-d\">{HtmlPage.Text(description)}</desc><g class=\"axes\">"));
        for (var tick = 0; low + tick * step <= high + step / 2; tick++)
        {
            var at = X(low + tick * step);
            svg.Append(Line($"<line class=\"grid\" x1=\"{at:0.#}\" x2=\"{at:0.#}\" y1=\"{Top}\" y2=\"{bottom}\"/><text x=\"{at:0.#}\" y=\"{bottom + 17}\" text-anchor=\"middle\">{Figures.Digits(double.Round(low / step + tick) * step)}</text>"));
        }
        svg.Append(Line($"<text class=\"label\" x=\"{(Left + Right) / 2}\" y=\"{bottom + 38}\" text-anchor=\"middle\">{HtmlPage.Text(axis)}</text></g>"));
        for (var i = 0; i < rows.Count; i++)
        {
            var row = rows[i];
            var y = Top + (i + 0.5) * RowHeight;
            svg.Append(Line($"<g class=\"series dotted c{row.Colour}\"><text class=\"name{(row.Emphasis ? " best" : "")}\" x=\"{Left - 12}\" y=\"{y + 4:0.#}\" text-anchor=\"end\">{HtmlPage.Text(row.Label)}</text>"));
            svg.Append(Line($"<line class=\"span\" x1=\"{X(row.Mean.Low):0.#}\" x2=\"{X(row.Mean.High):0.#}\" y1=\"{y:0.#}\" y2=\"{y:0.#}\"/>"));
            foreach (var value in row.Values) svg.Append(Line($"<circle class=\"single\" cx=\"{X(value):0.#}\" cy=\"{y:0.#}\" r=\"2.2\"/>"));
            svg.Append(Line($"<circle cx=\"{X(row.Mean.Mean):0.#}\" cy=\"{y:0.#}\" r=\"5\"><title>{HtmlPage.Text($"{row.Label}: {figures.Value(row.Mean)}")}</title></circle></g>"));
        }
        return svg.Append("</svg>").ToString();
    }

    /// <summary>What the page's own style sheet does not know.</summary>
    public const string Style = "<style>.forest .name{fill:var(--ink)}.forest .best{font-weight:700}.forest .span{stroke:var(--c);stroke-width:2.5;stroke-linecap:round}.forest circle.single{fill:var(--c);opacity:.45}"
        + ".holds{color:var(--good)}.fails{color:var(--bad)}.deciding{color:var(--soft);font-size:13px}td.number{white-space:nowrap}</style>";

    private static double Step(double rough)
    {
        var power = Math.Pow(10, Math.Floor(Math.Log10(rough)));
        return (rough / power) switch { <= 1 => 1, <= 2 => 2, <= 5 => 5, _ => 10 } * power;
    }

    private static string Line(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
