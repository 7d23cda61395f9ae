using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using Perennial.Evaluation.Charts;
using Perennial.Evaluation.Events;
using static Perennial.Evaluation.Reports.HtmlPage;

namespace Perennial.Evaluation.Reports;

/// <summary>A run's history as one page.</summary>
public static class RunReport
{
    /// <summary>The whole page. The same history always gives the same page.</summary>
    public static string Render(RunHistory history)
    {
        ArgumentNullException.ThrowIfNull(history);
        var summary = new RunSummary(history);
        var body = new StringBuilder()
            .Append(Header(history, summary))
            .Append("<section class=\"charts\" aria-label=\"Curves\">");
        foreach (var chart in RunCharts.Of(history))
            body.Append("<figure><figcaption>").Append(Text(chart.Title)).Append("</figcaption>").Append(SvgChart.Render(chart)).Append("</figure>\n");
        body.Append("</section>\n")
            .Append(ForgettingSection.Render(history))
            .Append(SampleSection.Render(history.Samples))
            .Append(Mixture(history))
            .Append(Yardsticks(summary))
            .Append(Trouble(history))
            .Append(Recipe(history))
            .Append(FactSection.Render(Facts(history, summary)))
            .Append("<footer>Written by Perennial from <code>metrics.jsonl</code> and the resolved recipe; this page needs no other file.</footer>");
        return HtmlPage.Render($"{summary.Name} – Perennial", body.ToString());
    }

    private static string Header(RunHistory history, RunSummary summary)
    {
        var tiles = new (string Label, string Value, string Note)[]
        {
            ("held-out bits per byte", Human.Fixed(summary.BitsPerByte, 3), summary.HeldOut is { } e ? $"step {Human.Whole(e.Step)}, {(e.Weights == "raw" ? "model" : e.Weights)} weights" : "not measured"),
            ("training loss", Human.Fixed(summary.Loss, 3), "nats a token, mean of the last steps"),
            ("tokens seen", Human.Number(summary.Tokens), $"{Human.Whole(summary.Step)} of {Human.Whole(history.Started?.TotalSteps ?? 0)} steps"),
            ("tokens a second", Human.Number(summary.TokensPerSecond), $"median step {Human.Duration(summary.StepSeconds)}"),
            ("of the GEMM ceiling", Human.Percent(summary.Mfu), history.Started is { CeilingFlops: > 0 } s ? $"of {Human.Unit(s.CeilingFlops, "FLOP/s")} measured" : "ceiling not measured"),
            ("parameters", Human.Number(history.Started?.Parameters ?? double.NaN), $"{Human.Duration(summary.TrainingSeconds)} in steps"),
        };
        var header = new StringBuilder("<header><p class=\"kind\">Perennial run <span class=\"state ").Append(summary.State).Append("\">").Append(summary.State)
            .Append("</span></p><h1>").Append(Text(summary.Name)).Append("</h1><p class=\"verdict\">").Append(Text(summary.Verdict)).Append("</p><dl class=\"tiles\">");
        foreach (var (label, value, note) in tiles)
            header.Append("<div><dt>").Append(Text(label)).Append("</dt><dd>").Append(Text(value)).Append("<small>").Append(Text(note)).Append("</small></dd></div>");
        return header.Append("</dl></header>\n").ToString();
    }

    private static string Mixture(RunHistory history) => history.Mixture is not { Shares.Count: > 0 } mixture ? "" : Section("Mixture: promised and delivered", Table(
        ["source", "promised", "delivered", "difference", "tokens", "passes"],
        mixture.Shares.Select(share => new[]
        {
            Text(share.Source), Human.Percent(share.Promised), Human.Percent(share.Delivered),
            (share.Delivered - share.Promised).ToString("+0.00 %;-0.00 %;0 %", CultureInfo.InvariantCulture), Human.Whole(share.Tokens), Human.Fixed(share.Epochs, 2),
        })));

    private static string Yardsticks(RunSummary summary) => summary.Yardsticks.Count == 0 ? "" : Section("Compressors on the same held-out text", Table(
        ["compressor", "bits per byte", "bytes", "the model needs"],
        summary.Yardsticks.Select(one => one.BitsPerByte is not { } bits
            ? new[] { Text(one.Name), Text(one.Missing), "", "" }
            : [Text(one.Name), Human.Fixed(bits, 3), Human.Whole(one.Bytes ?? double.NaN), double.IsFinite(summary.BitsPerByte) ? Human.Percent(summary.BitsPerByte / bits) + " of it" : "–"])));

    private static string Trouble(RunHistory history)
    {
        var trouble = new StringBuilder();
        if (history.Refused.Count > 0)
        {
            trouble.Append(Section($"Refused steps ({history.Refused.Count})", Table(
                ["step", "what was seen", "what was done", "samples"],
                history.Refused.TakeLast(50).Select(e => new[]
                {
                    Human.Whole(e.Step), Text(e.Reason), Text(e.Action),
                    Text(string.Join(", ", e.SampleIds.Take(8).Select(id => $"{id >> 48}:{id & ((1L << 48) - 1)}")) + (e.SampleIds.Count > 8 ? $" … {e.SampleIds.Count} in all" : "")),
                }))));
        }
        if (history.Recoveries.Count > 0) trouble.Append(Section($"Lost processes ({history.Recoveries.Count})", RecoveryTable.Render(history.Recoveries)));
        if (history.Notices.Count > 0)
        {
            trouble.Append(Section("Notices", "<ul class=\"notices\">" + string.Concat(history.Notices.TakeLast(50).Select(notice =>
                $"<li class=\"{(notice.Level == "warning" ? "warning" : "info")}\">{Text(notice.Message)}</li>")) + "</ul>"));
        }
        return trouble.ToString();
    }

    private static string Recipe(RunHistory history) => history.Started is not { } started ? ""
        : Section("Resolved recipe", $"<pre class=\"recipe\">{YamlHighlight.Render(started.RecipeYaml)}</pre>");

    // Facts of the start, and what the run itself knows by now.
    private static JsonObject Facts(RunHistory history, RunSummary summary)
    {
        var facts = (JsonObject?)history.Started?.Facts.DeepClone() ?? [];
        facts.Remove("yardsticks");
        var run = new JsonObject();
        if (history.Result is { } result) run["state_hash"] = result.StateHash;
        if (history.Started is { } started)
        {
            run["tokens_per_step"] = started.TokensPerStep;
            run["flops_per_token"] = Human.Number(started.FlopsPerToken);
        }
        if (history.Checkpoints.Count > 0)
        {
            var newest = history.Checkpoints[^1];
            run["newest_checkpoint"] = newest.Folder;
            run["checkpoint_bytes"] = newest.Bytes;
            run["checkpoint_seconds"] = Human.Duration(newest.Seconds);
        }
        if (history.Resumes.Count > 0) run["resumed_after_steps"] = string.Join(", ", history.Resumes.Select(step => Human.Whole(step)));
        run["seconds_in_steps"] = Human.Duration(summary.TrainingSeconds);
        facts["run"] = run;
        return facts;
    }

    private static string Section(string title, string content) => $"<section><h2>{Text(title)}</h2>{content}</section>\n";
}
