using System.Text;
using System.Text.Unicode;
using AngleSharp.Dom;
using AngleSharp.Html.Parser;

namespace Perennial.Data.Sources;

/// <summary>
/// The main content of an HTML page as plain text: title, headings, paragraphs, lists, code and tables; without scripts,
/// navigation, forms, and blocks that are mostly links. AngleSharp parses (HTML5); blocks are chosen by link density.
/// </summary>
public static class HtmlText
{
    private static readonly HashSet<string> Skipped = new(StringComparer.OrdinalIgnoreCase)
    {
        "script", "style", "noscript", "template", "svg", "math", "iframe", "object", "embed", "canvas", "audio", "video", "form", "button", "select", "textarea", "input", "nav", "footer", "aside", "menu", "dialog", "head",
    };

    private static readonly HashSet<string> Blocks = new(StringComparer.OrdinalIgnoreCase)
    {
        "p", "div", "section", "article", "main", "header", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "dl", "dt", "dd", "table", "tbody", "thead", "tfoot", "tr", "blockquote", "pre", "figure", "figcaption", "address", "hr", "br", "body", "html", "details", "summary", "fieldset", "center", "caption",
    };

    private static readonly System.Buffers.SearchValues<char> CharsetEnds = System.Buffers.SearchValues.Create("\"'; />\r\n");

    /// <summary>The text of a page.</summary>
    public static string Extract(string html)
    {
        using var document = new HtmlParser().ParseDocument(html);
        var text = new StringBuilder();
        if (Collapse(document.Title ?? "") is { Length: > 0 } title) text.Append(title).Append("\n\n");
        var (block, linked, inLink, inPre) = (new StringBuilder(), 0, 0, 0);
        void Flush(bool paragraph)
        {
            var line = inPre > 0 ? block.ToString().TrimEnd() : Collapse(block.ToString());
            // Navigation that no element marks: short blocks which are almost only links.
            var isLinks = line.Length > 0 && linked * 2 > line.Length && line.Length < 200;
            if (line.Length > 0 && !isLinks && text.ToString(Math.Max(0, text.Length - line.Length - 2), Math.Min(text.Length, line.Length + 2)).TrimEnd() != line) text.Append(line).Append(paragraph ? "\n\n" : "\n");
            else if (paragraph && text.Length > 1 && text[^1] == '\n' && text[^2] != '\n') text.Append('\n');
            block.Clear();
            linked = 0;
        }
        // Without recursion: a page may nest as deeply as it likes.
        for (INode? node = document.Body, body = node; node is not null;)
        {
            var enter = true;
            if (node is IElement element)
            {
                var tag = element.LocalName;
                if (Skipped.Contains(tag) || element.GetAttribute("hidden") is not null || element.GetAttribute("role") is "navigation" or "banner" or "contentinfo" || element.GetAttribute("aria-hidden") == "true") enter = false;
                else if (Blocks.Contains(tag)) Flush(tag is not ("br" or "li" or "tr" or "dt" or "dd"));
                if (enter && tag is "td" or "th" && block.Length > 0) block.Append('\t');
                if (enter && tag == "li") block.Append("- ");
                if (enter && tag == "a") inLink++;
                if (enter && tag == "pre") inPre++;
            }
            else if (node.NodeType == NodeType.Text)
            {
                block.Append(node.NodeValue);
                if (inLink > 0) linked += node.NodeValue.AsSpan().Trim().Length;
            }
            if (enter && node.FirstChild is { } child)
            {
                node = child;
                continue;
            }
            if (!enter && node == body) break;
            var leaving = enter;
            while (node is not null)
            {
                if (leaving && node is IElement left)
                {
                    if (left.LocalName == "a") inLink--;
                    if (Blocks.Contains(left.LocalName)) Flush(left.LocalName is not ("br" or "li" or "tr" or "dt" or "dd"));
                    if (left.LocalName == "pre") inPre--;
                }
                leaving = true;
                if (node == body) { node = null; break; }
                if (node.NextSibling is { } next) { node = next; break; }
                node = node.Parent;
            }
        }
        Flush(true);
        return text.ToString().TrimEnd('\n');
    }

    /// <summary>Bytes of a page as text: UTF-8 where valid, else the charset that the header or the page names, else windows-1252.</summary>
    public static string Decode(ReadOnlySpan<byte> bytes, string contentType)
    {
        ArgumentNullException.ThrowIfNull(contentType);
        if (bytes.StartsWith("\uFEFF"u8)) bytes = bytes[3..];
        if (bytes.StartsWith((ReadOnlySpan<byte>)[0xFF, 0xFE])) return Encoding.Unicode.GetString(bytes[2..]);
        if (bytes.StartsWith((ReadOnlySpan<byte>)[0xFE, 0xFF])) return Encoding.BigEndianUnicode.GetString(bytes[2..]);
        if (Utf8.IsValid(bytes)) return Encoding.UTF8.GetString(bytes);
        var name = Charset(contentType) ?? Charset(Encoding.Latin1.GetString(bytes[..Math.Min(bytes.Length, 2048)]));
        try
        {
            return (CodePagesEncodingProvider.Instance.GetEncoding(name ?? "windows-1252") ?? Encoding.GetEncoding(name ?? "windows-1252")).GetString(bytes);
        }
        catch (ArgumentException)
        {
            return CodePagesEncodingProvider.Instance.GetEncoding("windows-1252")!.GetString(bytes);
        }
    }

    private static string? Charset(string text)
    {
        var at = text.IndexOf("charset=", StringComparison.OrdinalIgnoreCase);
        if (at < 0) return null;
        var name = text[(at + 8)..].TrimStart('"', '\'', ' ');
        var end = name.AsSpan().IndexOfAny(CharsetEnds);
        return end < 0 ? name : end == 0 ? null : name[..end];
    }

    private static string Collapse(string text) => string.Join(' ', text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));
}
