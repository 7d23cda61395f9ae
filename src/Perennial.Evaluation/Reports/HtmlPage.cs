using System.Net;
using System.Reflection;
using System.Text;

namespace Perennial.Evaluation.Reports;

/// <summary>A page that needs nothing but itself: style and script are inside, nothing is fetched.</summary>
public static class HtmlPage
{
    /// <summary>The whole page around a body.</summary>
    /// <param name="title">Title of the window.</param>
    /// <param name="body">HTML of the body.</param>
    public static string Render(string title, string body) => new StringBuilder()
        .Append("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n")
        .Append("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:\">\n")
        .Append("<meta name=\"color-scheme\" content=\"light dark\">\n<title>").Append(Text(title)).Append("</title>\n<style>\n").Append(Resource("report.css"))
        .Append("</style>\n</head>\n<body>\n<main>\n").Append(body).Append("\n</main>\n<script>\n").Append(Resource("report.js")).Append("</script>\n</body>\n</html>\n")
        .ToString();

    /// <summary>Text made safe for elements and attributes.</summary>
    public static string Text(string? text) => WebUtility.HtmlEncode(text ?? "");

    /// <summary>A table; cells are HTML already.</summary>
    public static string Table(IEnumerable<string> heads, IEnumerable<IEnumerable<string>> rows)
    {
        ArgumentNullException.ThrowIfNull(heads);
        ArgumentNullException.ThrowIfNull(rows);
        var table = new StringBuilder("<div class=\"scroll\"><table><thead><tr>");
        foreach (var head in heads) table.Append("<th scope=\"col\">").Append(Text(head)).Append("</th>");
        table.Append("</tr></thead><tbody>");
        foreach (var row in rows)
        {
            table.Append("<tr>");
            foreach (var cell in row) table.Append("<td>").Append(cell).Append("</td>");
            table.Append("</tr>");
        }
        return table.Append("</tbody></table></div>").ToString();
    }

    private static string Resource(string name)
    {
        using var stream = Assembly.GetExecutingAssembly().GetManifestResourceStream($"Perennial.Evaluation.Reports.{name}")
            ?? throw new InvalidOperationException($"resource {name} is not in the assembly");
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd();
    }
}
