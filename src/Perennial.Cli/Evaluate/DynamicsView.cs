using System.Text.Json.Nodes;
using Perennial.Cli.Hosting;
using Perennial.Evaluation.Charts;
using Perennial.Evaluation.Dynamics;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace Perennial.Cli.Evaluate;

/// <summary>Curves over checkpoints, how alike they are across sizes, and what smaller runs foretold of the largest.</summary>
public static class DynamicsView
{
    /// <summary>The tables.</summary>
    public static IRenderable Render(IReadOnlyList<TrainingCurve> runs, IReadOnlyList<CurveSimilarity> similar, IReadOnlyList<CurveForecast> forecasts, bool unicode)
    {
        ArgumentNullException.ThrowIfNull(runs);
        ArgumentNullException.ThrowIfNull(similar);
        ArgumentNullException.ThrowIfNull(forecasts);
        var border = unicode ? TableBorder.Rounded : TableBorder.Ascii;
        var parts = new List<IRenderable>();
        foreach (var run in runs)
        {
            parts.Add(new Text($"{run.Run}: {Human.Number(run.Parameters)} parameters, {run.Moments.Count} checkpoints"));
            parts.Add(Make(border, ["step", "tokens", .. run.Metrics.Select(name => name.Replace('_', ' '))],
                run.Moments.Select(moment => (IReadOnlyList<string>)[Human.Whole(moment.Step), Human.Number(moment.Tokens), .. run.Metrics.Select(name => Number(moment.Metrics[name]))])));
        }
        if (similar.Count > 0)
        {
            parts.Add(Make(border, ["alike at equal tokens", "sizes", "points", "rank correlation", "without the trend", "of changes"],
                similar.Select(one => (IReadOnlyList<string>)[one.Metric.Replace('_', ' '), $"{Human.Number(one.First)}, {Human.Number(one.Second)}", Human.Whole(one.Points), Number(one.Level), Number(one.Detrended), Number(one.Differences)])));
        }
        if (forecasts.Count > 0)
        {
            parts.Add(new Text($"the largest run's last checkpoint, foretold from the smaller runs (90 % intervals)"));
            parts.Add(Make(border, ["metric", "foretold", "interval", "measured", "error", "error of the next smaller run's last value"],
                forecasts.Select(one => (IReadOnlyList<string>)[one.Metric.Replace('_', ' '), Number(one.Moments[^1].Value), $"{Number(one.Moments[^1].Low)} to {Number(one.Moments[^1].High)}", Number(one.Moments[^1].Measured), Number(one.Error), Number(one.BaselineError)])));
        }
        return new Rows(parts);
    }

    /// <summary>One line a run, a similarity and a forecast.</summary>
    public static IEnumerable<JsonObject> ToJson(IReadOnlyList<TrainingCurve> runs, IReadOnlyList<CurveSimilarity> similar, IReadOnlyList<CurveForecast> forecasts)
    {
        ArgumentNullException.ThrowIfNull(runs);
        ArgumentNullException.ThrowIfNull(similar);
        ArgumentNullException.ThrowIfNull(forecasts);
        foreach (var run in runs)
        {
            yield return new JsonObject
            {
                ["event"] = "curve", ["run"] = run.Run, ["parameters"] = run.Parameters,
                ["moments"] = new JsonArray([.. run.Moments.Select(moment =>
                {
                    var json = new JsonObject { ["step"] = moment.Step, ["tokens"] = moment.Tokens };
                    foreach (var (name, value) in moment.Metrics) json[name] = CommandExtensions.Number(value);
                    return (JsonNode)json;
                })]),
            };
        }
        foreach (var one in similar)
        {
            yield return new JsonObject
            {
                ["event"] = "similarity", ["metric"] = one.Metric, ["parameters"] = new JsonArray(one.First, one.Second), ["points"] = one.Points,
                ["rank_correlation"] = CommandExtensions.Number(one.Level), ["detrended"] = CommandExtensions.Number(one.Detrended), ["differences"] = CommandExtensions.Number(one.Differences),
            };
        }
        foreach (var one in forecasts)
        {
            yield return new JsonObject
            {
                ["event"] = "forecast", ["metric"] = one.Metric, ["parameters"] = one.Parameters, ["error"] = CommandExtensions.Number(one.Error), ["baseline_error"] = CommandExtensions.Number(one.BaselineError),
                ["moments"] = new JsonArray([.. one.Moments.Select(moment => (JsonNode)new JsonObject
                {
                    ["tokens"] = moment.Tokens, ["value"] = CommandExtensions.Number(moment.Value), ["low"] = CommandExtensions.Number(moment.Low), ["high"] = CommandExtensions.Number(moment.High), ["measured"] = CommandExtensions.Number(moment.Measured),
                })]),
            };
        }
    }

    private static Table Make(TableBorder border, IReadOnlyList<string> heads, IEnumerable<IReadOnlyList<string>> rows)
    {
        var table = new Table { Border = border };
        for (var i = 0; i < heads.Count; i++)
        {
            var column = new TableColumn(Markup.Escape(heads[i]));
            table.AddColumn(i == 0 ? column : column.RightAligned());
        }
        foreach (var row in rows) table.AddRow([.. row.Select(cell => new Text(cell))]);
        return table;
    }

    private static string Number(double value) => double.IsFinite(value) ? Human.Fixed(value, 4) : "-";
}
