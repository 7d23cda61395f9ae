using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Perennial.Evaluation.Charts;
using static Perennial.Evaluation.Reports.HtmlPage;

namespace Perennial.Evaluation.Reports;

/// <summary>Facts as tables: every object becomes one, whatever its keys; lists of objects become tables with columns.</summary>
internal static class FactSection
{
    public static string Render(JsonObject facts)
    {
        var html = new StringBuilder("<section><h2>Where and on what</h2><div class=\"facts\">");
        var loose = new JsonObject();
        foreach (var (name, value) in facts)
        {
            if (value is JsonObject table && table.Count > 0) html.Append(Card(name, table));
            else if (value is not null and not JsonObject) loose[name] = value.DeepClone();
        }
        if (loose.Count > 0) html.Append(Card("other", loose));
        return html.Append("</div></section>\n").ToString();
    }

    private static string Card(string name, JsonObject table)
    {
        var html = new StringBuilder("<div class=\"card\"><h3>").Append(Text(Words(name))).Append("</h3><table><tbody>");
        foreach (var (key, value) in table)
            html.Append("<tr><th scope=\"row\">").Append(Text(Words(key))).Append("</th><td>").Append(Value(key, value)).Append("</td></tr>");
        return html.Append("</tbody></table></div>").ToString();
    }

    private static string Value(string key, JsonNode? value) => value switch
    {
        null => "–",
        JsonArray { Count: > 0 } list when list.All(one => one is JsonObject) => Columns(list),
        JsonArray list => Text(string.Join(", ", list.Select(one => one?.ToString()))),
        JsonObject table => string.Join("<br>", table.Select(pair => $"{Text(Words(pair.Key))}: {Value(pair.Key, pair.Value)}")),
        _ when value.GetValueKind() == JsonValueKind.Number => Number(key, value),
        _ when value.GetValueKind() is JsonValueKind.True or JsonValueKind.False => (bool)value ? "yes" : "no",
        _ when key.EndsWith("hash", StringComparison.Ordinal) || key.EndsWith("fingerprint", StringComparison.Ordinal) || key == "revision" => $"<code>{Text(value.ToString())}</code>",
        _ => Text(value.ToString()),
    };

    private static string Columns(JsonArray list)
    {
        var heads = list.OfType<JsonObject>().SelectMany(row => row.Select(pair => pair.Key)).Distinct().ToList();
        return Table(heads.Select(Words), list.OfType<JsonObject>().Select(row => heads.Select(head => Value(head, row[head]))));
    }

    private static string Number(string key, JsonNode value)
    {
        var number = (double)JsonNode.Parse(value.ToJsonString())!; // a node made from an int in memory converts to nothing else
        if (key.EndsWith("bytes", StringComparison.Ordinal)) return Human.Bytes(number);
        if (key.Contains("share", StringComparison.Ordinal) || key is "promised" or "delivered" or "weight") return Human.Percent(number);
        return number == Math.Floor(number) && Math.Abs(number) < 1e15 ? Human.Whole(number) : Human.Number(number);
    }

    private static string Words(string key) => key.Replace('_', ' ').Replace('-', ' ');
}
