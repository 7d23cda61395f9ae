using System.Globalization;
using System.Text;
using Perennial.Data.Accounting;

namespace Perennial.Evaluation.Reports;

/// <summary>The account of a preparation as a page that needs nothing but itself: funnel, operators, reasons, samples of what was removed, contamination.</summary>
public static class DataReport
{
    private const string Style = "<style>.bar{background:color-mix(in srgb,currentColor 12%,transparent);border-radius:3px;height:.7em;min-width:9em}.bar>i{display:block;height:100%;border-radius:3px;background:#3b82c4}td.num,th.num{text-align:right}blockquote{margin:.4em 0;padding:.4em .8em;border-left:3px solid #3b82c4;white-space:pre-wrap;overflow-wrap:anywhere;font-size:.9em}details{margin:.3em 0}</style>";

    /// <summary>The page.</summary>
    /// <param name="title">What was prepared.</param>
    /// <param name="account">Its account.</param>
    public static string Render(string title, DataAccount account)
    {
        ArgumentNullException.ThrowIfNull(account);
        var total = account.Total();
        var body = new StringBuilder(Style);
        body.Append($"<header><p class=\"kind\">Data report</p><h1>{HtmlPage.Text(title)}</h1></header><dl class=\"tiles\">");
        Tile("Read", Whole(total.Documents), $"documents, {Size(total.Bytes)} in {Whole(total.Files)} files ({Size(total.FileBytes)})");
        Tile("Kept", Whole(total.KeptDocuments), $"documents, {Size(total.KeptBytes)}, {Percent(total.KeptDocuments, total.Documents)}");
        Tile("Removed", Whole(total.Operators.Sum(one => one.Removed.Values.Sum())), "documents, by operators");
        Tile("Set aside", Whole(total.MalformedRecords), $"malformed records; {Whole(total.DamagedFiles)} damaged files");
        Tile("Unaccounted", Whole(account.Unaccounted()), "documents that are neither kept nor removed");
        body.Append("</dl>");
        Funnel(body, total);
        Reasons(body, account);
        Contamination(body, total);
        Samples(body, total);
        body.Append("<section><h2>Sources</h2>").Append(HtmlPage.Table(["source", "files", "documents", "text", "kept", "malformed"], account.Sources.Select(source => (IEnumerable<string>)
            [HtmlPage.Text(source.Path), Whole(source.Files), Whole(source.Documents), Size(source.Bytes), $"{Whole(source.KeptDocuments)} ({Percent(source.KeptDocuments, source.Documents)})", Whole(source.MalformedRecords)]))).Append("</section>");
        return HtmlPage.Render(title, body.ToString());

        void Tile(string name, string value, string small) => body.Append($"<div><dt>{name}</dt><dd>{value}<small>{HtmlPage.Text(small)}</small></dd></div>");
    }

    private static void Funnel(StringBuilder body, SourceAccount total)
    {
        body.Append("<section><h2>Operators, in order</h2>");
        var rows = total.Operators.Select((one, number) => (IEnumerable<string>)
        [
            $"{number + 1}", HtmlPage.Text(one.Kind), Whole(one.Documents), Whole(one.KeptDocuments), Bar(one.KeptDocuments, total.Documents), Whole(one.Changed), Size(one.Bytes), Size(one.KeptBytes),
            one.Seconds.ToString("F2", CultureInfo.InvariantCulture), one.MegabytesPerSecond.ToString("F1", CultureInfo.InvariantCulture),
            HtmlPage.Text(string.Join(", ", one.Counts.Select(pair => $"{pair.Key} {Whole(pair.Value)}").Concat(one.Notes.Select(pair => $"{pair.Key} {pair.Value.ToString("G6", CultureInfo.InvariantCulture)}")))),
        ]);
        body.Append(total.Operators.Count == 0 ? "<p>No operators: every document was kept.</p>" : HtmlPage.Table(["", "operator", "in", "out", "left of all", "changed", "text in", "text out", "seconds", "MB/s/core", "counted"], rows)).Append("</section>");
    }

    private static void Reasons(StringBuilder body, DataAccount account)
    {
        var reasons = account.Total().Rejected().OrderByDescending(pair => pair.Value).ToList();
        if (reasons.Count == 0) return;
        body.Append("<section><h2>Why documents were left out</h2>");
        body.Append(HtmlPage.Table(["reason", "documents", ""], reasons.Select(pair => (IEnumerable<string>)[HtmlPage.Text(pair.Key), Whole(pair.Value), Bar(pair.Value, reasons[0].Value)])));
        foreach (var source in account.Sources.Where(source => source.FirstMalformed is not null)) body.Append($"<p>First malformed record: <code>{HtmlPage.Text(source.FirstMalformed)}</code></p>");
        body.Append("</section>");
    }

    private static void Contamination(StringBuilder body, SourceAccount total)
    {
        foreach (var one in total.Operators.Where(one => one.Kind == "decontaminate"))
        {
            body.Append("<section><h2>Contamination</h2>");
            body.Append(one.Counts.Count == 0 ? "<p>No document overlaps an evaluation set.</p>"
                : $"<p>{Whole(one.Removed.Values.Sum())} documents overlap an evaluation set and were removed.</p>" + HtmlPage.Table(["evaluation set", "overlaps"], one.Counts.Select(pair => (IEnumerable<string>)[HtmlPage.Text(pair.Key), Whole(pair.Value)])));
            body.Append("</section>");
        }
    }

    private static void Samples(StringBuilder body, SourceAccount total)
    {
        if (total.Operators.All(one => one.Samples.Count == 0)) return;
        body.Append("<section><h2>Some of what was removed</h2>");
        foreach (var one in total.Operators)
        {
            foreach (var (reason, samples) in one.Samples)
            {
                body.Append($"<details><summary>{HtmlPage.Text(one.Kind)}: {HtmlPage.Text(reason)} ({Whole(one.Removed.GetValueOrDefault(reason))})</summary>");
                foreach (var sample in samples) body.Append($"<blockquote><small><code>{HtmlPage.Text(sample.Place)}</code> {HtmlPage.Text(sample.Reason)}</small>\n{HtmlPage.Text(sample.Excerpt)}</blockquote>");
                body.Append("</details>");
            }
        }
        body.Append("</section>");
    }

    private static string Bar(long part, long whole) => $"<div class=\"bar\" title=\"{Percent(part, whole)}\"><i style=\"width:{(whole == 0 ? 0 : 100.0 * part / whole).ToString("F1", CultureInfo.InvariantCulture)}%\"></i></div>";

    private static string Percent(long part, long whole) => whole == 0 ? "none" : (100.0 * part / whole).ToString("F1", CultureInfo.InvariantCulture) + " %";

    private static string Whole(long value) => value.ToString("N0", CultureInfo.InvariantCulture);

    private static string Size(long bytes) => bytes switch
    {
        >= 1_000_000_000 => (bytes / 1e9).ToString("F2", CultureInfo.InvariantCulture) + " GB",
        >= 1_000_000 => (bytes / 1e6).ToString("F1", CultureInfo.InvariantCulture) + " MB",
        >= 1_000 => (bytes / 1e3).ToString("F1", CultureInfo.InvariantCulture) + " kB",
        _ => $"{bytes} B",
    };
}
