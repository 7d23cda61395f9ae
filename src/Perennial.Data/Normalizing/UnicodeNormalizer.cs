using System.Buffers;
using Perennial.Core;

namespace Perennial.Data.Normalizing;

/// <summary>Unicode NFC, without control characters, byte-order marks, soft hyphens and zero-width spaces inside the text.</summary>
[Component("unicode")]
public sealed class UnicodeNormalizer : IFilter
{
    // Leads of what is removed: C0 but for tab and line ends, DEL, C1 and soft hyphen (C2 …), U+200B and U+2060 (E2 …), U+FEFF (EF …).
    private static readonly SearchValues<byte> Controls = SearchValues.Create([.. Enumerable.Range(0, 32).Where(value => value is not ('\t' or '\n' or '\r')).Select(value => (byte)value), 0x7F]);
    private static readonly SearchValues<byte> Leads = SearchValues.Create([.. Enumerable.Range(0, 32).Where(value => value is not ('\t' or '\n' or '\r')).Select(value => (byte)value), 0x7F, 0xC2, 0xE2, 0xEF]);

    /// <inheritdoc/>
    public FilterResult Apply(Document document, long index)
    {
        ArgumentNullException.ThrowIfNull(document);
        var text = document.Text;
        if (!UnicodeComposition.Instance.IsComposed(text.Span)) text = UnicodeComposition.Instance.Compose(text.Span);
        if (FirstRemoved(text.Span, 0, out _) is >= 0 and var first) text = Remove(text.Span, first);
        return FilterResult.Keep(text.Equals(document.Text) ? document : document with { Text = text });
    }

    private static byte[] Remove(ReadOnlySpan<byte> text, int first)
    {
        var kept = new byte[text.Length];
        var (written, at) = (0, 0);
        for (var removed = first; removed >= 0;)
        {
            text[at..removed].CopyTo(kept.AsSpan(written));
            written += removed - at;
            FirstRemoved(text, removed, out var length);
            at = removed + length;
            removed = FirstRemoved(text, at, out _);
        }
        text[at..].CopyTo(kept.AsSpan(written));
        return kept[..(written + text.Length - at)];
    }

    private static int FirstRemoved(ReadOnlySpan<byte> text, int from, out int length)
    {
        length = 0;
        for (var at = from; at < text.Length; at++)
        {
            var found = text[at..].IndexOfAny(Leads);
            if (found < 0) return -1;
            at += found;
            var rest = text[at..];
            length = Controls.Contains(rest[0]) ? 1
                : rest[0] == 0xC2 && rest.Length > 1 && (rest[1] is < 0xA0 or 0xAD) ? 2
                : rest.StartsWith("\u200B"u8) || rest.StartsWith("\u2060"u8) || rest.StartsWith("\uFEFF"u8) ? 3 : 0;
            if (length > 0) return at;
        }
        return -1;
    }
}
