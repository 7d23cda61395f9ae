using System.ComponentModel.DataAnnotations;
using Perennial.Core;
using Perennial.Data.Text;

namespace Perennial.Data.Filters;

/// <summary>Options of <see cref="C4Quality"/>; defaults are those of C4.</summary>
public sealed record C4Options
{
    /// <summary>Whether a line must end in punctuation (. ! ? " or ') and not in an ellipsis.</summary>
    public bool TerminalPunctuation { get; init; } = true;

    /// <summary>Fewest words of a line.</summary>
    [Range(0, 1000)]
    public int LineWords { get; init; } = 3;

    /// <summary>Fewest sentences of what is left.</summary>
    [Range(0, 1000)]
    public int Sentences { get; init; } = 5;

    /// <summary>Longest word of a line, bytes.</summary>
    [Range(1, 1_000_000)]
    public int LongestWord { get; init; } = 1000;

    /// <summary>Whether a page with a curly bracket is left out.</summary>
    public bool CurlyBracket { get; init; } = true;
}

/// <summary>
/// The rules of C4 (Raffel et al., JMLR 21:140, section 2.2): lines must end in punctuation and have three words; no lines about
/// JavaScript or cookies; pages with "lorem ipsum" or a curly bracket, or fewer than five sentences left, are removed.
/// </summary>
/// <param name="options">The limits.</param>
[Component("c4")]
public sealed class C4Quality(C4Options options) : IFilter
{
    private static readonly PhraseSet Lorem = new(["lorem ipsum"], wholeWords: false);
    private static readonly PhraseSet Lines = new(["javascript", "terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies"], wholeWords: false);

    /// <inheritdoc/>
    public FilterResult Apply(Document document, long index)
    {
        ArgumentNullException.ThrowIfNull(document);
        var text = document.Text.Span;
        if (options.CurlyBracket && text.Contains((byte)'{')) return FilterResult.Reject("curly bracket");
        // Rare first letters of the phrases are looked for at once; few pages go on to the automaton.
        if (text.IndexOf("psum"u8) >= 0 && Lorem.IsIn(text)) return FilterResult.Reject("lorem ipsum");
        var suspicious = Lines.IsIn(text);
        var lines = DocumentLines.Of(document.Text);
        var (kept, written, sentences, removed, start) = ((byte[]?)null, 0, 0, 0L, 0);
        foreach (var end in lines.Ends)
        {
            var whole = text[start..end];
            var line = TextLines.Trim(whole);
            start = end + 1;
            if (Keeps(line, suspicious))
            {
                sentences += Sentences(line);
                if (kept is null && whole.Length == line.Length)
                {
                    written = end;
                    continue;
                }
                kept ??= CopyOf(text, written);
                if (written > 0) kept[written++] = (byte)'\n';
                line.CopyTo(kept.AsSpan(written));
                written += line.Length;
            }
            else
            {
                kept ??= CopyOf(text, written);
                removed += line.IsEmpty ? 0 : 1;
            }
        }
        if (sentences < options.Sentences) return FilterResult.Reject($"fewer than {options.Sentences} sentences");
        return kept is null ? FilterResult.Keep(document) : FilterResult.Keep(document with { Text = kept.AsMemory(0, written) }) with { Counts = [new("lines removed", removed)] };
    }

    private static byte[] CopyOf(ReadOnlySpan<byte> text, int length)
    {
        var copy = GC.AllocateUninitializedArray<byte>(text.Length + 1);
        text[..length].CopyTo(copy);
        return copy;
    }

    private bool Keeps(ReadOnlySpan<byte> line, bool suspicious)
    {
        if (line.IsEmpty) return false;
        if (options.TerminalPunctuation && !EndsSentence(line)) return false;
        var (words, longest) = (0, 0);
        for (var at = 0; at < line.Length && (words < options.LineWords || line.Length > options.LongestWord);)
        {
            var space = line[at..].IndexOf((byte)' ');
            var length = space < 0 ? line.Length - at : space;
            if (length > 0) words++;
            longest = Math.Max(longest, length);
            at += length + 1;
        }
        return words >= options.LineWords && longest <= options.LongestWord && !(suspicious && Lines.IsIn(line));
    }

    private static bool EndsSentence(ReadOnlySpan<byte> line) => line[^1] switch
    {
        (byte)'.' => !line.EndsWith("..."u8),
        (byte)'!' or (byte)'?' or (byte)'"' or (byte)'\'' => true,
        >= 0x80 => line.EndsWith("”"u8) || line.EndsWith("’"u8),
        _ => false,
    };

    private static int Sentences(ReadOnlySpan<byte> line)
    {
        var count = 0;
        for (var at = 0; at < line.Length;)
        {
            var found = line[at..].IndexOfAny((byte)'.', (byte)'!', (byte)'?');
            if (found < 0) break;
            at += found + 1;
            while (at < line.Length && line[at] is (byte)'.' or (byte)'!' or (byte)'?' or (byte)'"' or (byte)'\'' or (byte)')') at++;
            if (at >= line.Length || line[at] is (byte)' ' or >= 0x80) count++;
        }
        return Math.Max(count, 1);
    }
}
