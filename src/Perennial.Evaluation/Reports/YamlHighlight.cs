using System.Text.RegularExpressions;
using static Perennial.Evaluation.Reports.HtmlPage;

namespace Perennial.Evaluation.Reports;

/// <summary>Marks keys and comments of YAML, as much as makes a recipe easy to read.</summary>
internal static partial class YamlHighlight
{
    public static string Render(string yaml) => string.Join('\n', yaml.TrimEnd().Split('\n').Select(line =>
    {
        if (Comment().IsMatch(line)) return $"<i>{Text(line)}</i>";
        var key = Key().Match(line);
        return key.Success ? $"{Text(key.Groups[1].Value)}<b>{Text(key.Groups[2].Value)}</b>:{Text(line[key.Length..])}" : Text(line);
    }));

    [GeneratedRegex(@"^\s*#")]
    private static partial Regex Comment();

    [GeneratedRegex(@"^([\s-]*)([\w-]+):")]
    private static partial Regex Key();
}
