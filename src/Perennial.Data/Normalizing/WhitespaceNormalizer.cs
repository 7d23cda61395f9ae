using System.Numerics;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
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
    /// <inheritdoc/>
    public FilterResult Apply(Document document, long index)
    {
        ArgumentNullException.ThrowIfNull(document);
        // Around the text nothing need be copied.
        var whole = document.Text.Span;
        var (first, last) = (0, whole.Length);
        for (int length; (length = Space(whole, first, out _)) > 0;) first += length;
        while (last > first && whole[last - 1] is (byte)' ' or (byte)'\n' or (byte)'\r' or (byte)'\t') last--;
        var trimmed = first == 0 && last == whole.Length ? document.Text : document.Text[first..last];
        var text = trimmed.Span;
        byte[]? result = null;
        var (written, at) = (0, 0);
        // What is regular is passed over 32 bytes at a time and copied in one piece.
        while (at < text.Length)
        {
            var found = at == 0 && Space(text, 0, out _) > 0 ? 0 : Irregular(text, at);
            var start = found;
            while (start > at && text[start - 1] is (byte)' ' or (byte)'\n') start--;
            var (end, lines, spaces) = Run(text, start);
            if (end == start)
            {
                // General punctuation begins like a line separator.
                end = Math.Min(text.Length, found + 1);
                if (result is not null) text[at..end].CopyTo(result.AsSpan(written));
                written += end - at;
                at = end;
                continue;
            }
            if (result is not null) text[at..start].CopyTo(result.AsSpan(written));
            written += start - at;
            var plain = Plain(written == 0, end == text.Length, lines, spaces, out var indentation);
            if (result is null && (plain.Length + indentation != end - start || !text.Slice(start, plain.Length).SequenceEqual(plain) || text[(start + plain.Length)..end].IndexOfAnyExcept((byte)' ') >= 0))
            {
                // A tab of indentation becomes four spaces: the only thing that grows.
                result = GC.AllocateUninitializedArray<byte>(text.Length + (options.Indentation ? 3 * text.Count((byte)'\t') : 0));
                text[..start].CopyTo(result);
            }
            if (result is not null)
            {
                plain.CopyTo(result.AsSpan(written));
                result.AsSpan(written + plain.Length, indentation).Fill((byte)' ');
            }
            written += plain.Length + indentation;
            at = end;
        }
        return FilterResult.Keep(result is not null ? document with { Text = result.AsMemory(0, written) } : trimmed.Length == document.Text.Length ? document : document with { Text = trimmed });
    }

    private ReadOnlySpan<byte> Plain(bool first, bool last, int lines, int spaces, out int indentation)
    {
        indentation = options.Indentation && lines > 0 && !first && !last ? spaces : 0;
        return first || last ? default : lines == 0 ? " "u8 : lines == 1 ? "\n"u8 : "\n\n"u8;
    }

    // A stretch of white space: where it ends, its line ends, and the spaces behind the last of them.
    private static (int End, int Lines, int Spaces) Run(ReadOnlySpan<byte> text, int at)
    {
        var (lines, spaces) = (0, 0);
        for (int length; (length = Space(text, at, out var isLine)) > 0; at += length)
        {
            if (isLine) (lines, spaces) = (lines + 1, 0);
            else spaces += text[at] == '\t' ? 4 : 1;
        }
        return (at, lines, spaces);
    }

    private static int Space(ReadOnlySpan<byte> text, int at, out bool isLine)
    {
        isLine = false;
        if (at >= text.Length) return 0;
        switch (text[at])
        {
            case (byte)' ' or (byte)'\t' or (byte)'\v' or (byte)'\f':
                return 1;
            case (byte)'\n':
                isLine = true;
                return 1;
            case (byte)'\r':
                isLine = true;
                return at + 1 < text.Length && text[at + 1] == '\n' ? 2 : 1;
            case 0xC2:
                return at + 1 < text.Length && text[at + 1] == 0xA0 ? 2 : 0;
            case 0xE2:
                isLine = text[at..].StartsWith("\u2028"u8) || text[at..].StartsWith("\u2029"u8);
                return isLine ? 3 : 0;
            case 0xE3:
                return text[at..].StartsWith("\u3000"u8) ? 3 : 0;
            default:
                return 0;
        }
    }

    // The next place where white space may need work: two in a row, a rare one, or one at the text's end.
    private static int Irregular(ReadOnlySpan<byte> text, int from)
    {
        var at = from;
        ref var first = ref MemoryMarshal.GetReference(text);
        var (space, line) = (Vector256.Create((byte)' '), Vector256.Create((byte)'\n'));
        for (; at + 33 <= text.Length; at += 32)
        {
            var (one, next) = (Vector256.LoadUnsafe(ref first, (nuint)at), Vector256.LoadUnsafe(ref first, (nuint)at + 1));
            var blank = Vector256.LessThanOrEqual(one, space);
            var odd = (blank & Vector256.LessThanOrEqual(next, space)) | (blank & ~Vector256.Equals(one, space) & ~Vector256.Equals(one, line))
                | (Vector256.Equals(one, Vector256.Create((byte)0xC2)) & Vector256.Equals(next, Vector256.Create((byte)0xA0)))
                | ((Vector256.Equals(one, Vector256.Create((byte)0xE2)) | Vector256.Equals(one, Vector256.Create((byte)0xE3))) & Vector256.Equals(next, Vector256.Create((byte)0x80)));
            var bits = odd.ExtractMostSignificantBits();
            if (bits != 0) return at + BitOperations.TrailingZeroCount(bits);
        }
        for (; at < text.Length; at++)
        {
            if (Space(text, at, out _) == 0) continue;
            if (text[at] is not ((byte)' ' or (byte)'\n') || at + 1 == text.Length || Space(text, at + 1, out _) > 0) return at;
        }
        return text.Length;
    }
}
