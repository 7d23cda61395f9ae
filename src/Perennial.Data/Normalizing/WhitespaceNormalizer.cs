using Perennial.Core;

namespace Perennial.Data.Normalizing;

/// <summary>Options of <see cref="WhitespaceNormalizer"/>.</summary>
public sealed record WhitespaceOptions
{
    /// <summary>Whether spaces at a line's beginning stay (source code).</summary>
    public bool Indentation { get; init; }
}

/// <summary>One kind of white space: line feeds as line ends, at most one blank line, single spaces, none at line ends and around the text.</summary>
/// <param name="options">What stays.</param>
[Component("whitespace")]
public sealed class WhitespaceNormalizer(WhitespaceOptions options) : IFilter
{
    private static readonly System.Buffers.SearchValues<byte> Rare = System.Buffers.SearchValues.Create("\r\t\v\f"u8);

    /// <inheritdoc/>
    public FilterResult Apply(Document document, long index)
    {
        ArgumentNullException.ThrowIfNull(document);
        var text = document.Text.Span;
        return NeedsWork(text) ? FilterResult.Keep(document with { Text = Normalize(text) }) : FilterResult.Keep(document);
    }

    // A few vectorized searches: most text needs nothing.
    private bool NeedsWork(ReadOnlySpan<byte> text) =>
        text.IsEmpty || text[0] <= ' ' || text[^1] <= ' ' || text.IndexOfAny(Rare) >= 0
        || text.IndexOf("  "u8) >= 0 || text.IndexOf(" \n"u8) >= 0 || text.IndexOf("\n\n\n"u8) >= 0 || text.IndexOf("\u00A0"u8) >= 0
        || text.IndexOf("\u3000"u8) >= 0 || text.IndexOf("\u2028"u8) >= 0 || text.IndexOf("\u2029"u8) >= 0 || (!options.Indentation && text.IndexOf("\n "u8) >= 0);

    private byte[] Normalize(ReadOnlySpan<byte> text)
    {
        var result = new byte[text.Length];
        var (written, spaces, lines) = (0, 0, 0);
        for (var at = 0; at < text.Length;)
        {
            var value = text[at];
            var length = 1;
            var (isSpace, isLine) = (value is (byte)' ' or (byte)'\t' or (byte)'\v' or (byte)'\f', value is (byte)'\n' or (byte)'\r');
            if (value == '\r' && at + 1 < text.Length && text[at + 1] == '\n') length = 2;
            else if (value == 0xC2 && at + 1 < text.Length && text[at + 1] == 0xA0) (isSpace, length) = (true, 2);
            else if (value == 0xE3 && text[at..].StartsWith("\u3000"u8)) (isSpace, length) = (true, 3);
            else if (value == 0xE2 && (text[at..].StartsWith("\u2028"u8) || text[at..].StartsWith("\u2029"u8))) (isLine, length) = (true, 3);
            if (isLine) (lines, spaces) = (lines + 1, 0);
            else if (isSpace) spaces += value == '\t' && options.Indentation ? 4 : 1;
            else
            {
                if (written > 0)
                {
                    for (var i = 0; i < Math.Min(lines, 2); i++) result[written++] = (byte)'\n';
                }
                var kept = lines > 0 || written == 0 ? options.Indentation && written > 0 ? spaces : 0 : Math.Min(spaces, 1);
                // Indentation never grows a text beyond its own length: a tab may, so it is cut to what fits.
                kept = Math.Min(kept, result.Length - written - (text.Length - at));
                for (var i = 0; i < kept; i++) result[written++] = (byte)' ';
                (lines, spaces) = (0, 0);
                // Everything up to the next white space at once.
                var end = at + 1;
                while (end < text.Length && text[end] > ' ' && text[end] is not (0xC2 or 0xE2 or 0xE3)) end++;
                text[at..end].CopyTo(result.AsSpan(written));
                written += end - at;
                at = end;
                continue;
            }
            at += length;
        }
        return result[..written];
    }
}
