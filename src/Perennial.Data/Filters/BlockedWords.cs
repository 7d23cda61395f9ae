using System.ComponentModel.DataAnnotations;
using Perennial.Core;
using Perennial.Data.Curation;
using Perennial.Data.Text;

namespace Perennial.Data.Filters;

/// <summary>Options of <see cref="BlockedWords"/>.</summary>
public sealed record BlockedWordsOptions : IValidatedOptions, IReadsFiles
{
    /// <summary>Words or phrases, in any case.</summary>
    public IReadOnlyList<string> Words { get; init; } = [];

    /// <summary>A file of further ones, one a line.</summary>
    public string? List { get; init; }

    /// <summary>Occurrences that a document may have.</summary>
    [Range(0, 1_000_000)]
    public int Allowed { get; init; }

    /// <summary>Whether only the lines that hold one are removed, not the document.</summary>
    public bool Lines { get; init; }

    /// <inheritdoc/>
    public IEnumerable<string> Files() => List is null ? [] : [List];

    /// <inheritdoc/>
    public IEnumerable<(string Key, string Problem)> Problems()
    {
        if (Words.Count == 0 && List is null) yield return ("words", "nothing is blocked: give words or list");
    }
}

/// <summary>Leaves out documents (or lines) with blocked words, and sets the score <c>blocked-words</c> to their number for every thousand bytes.</summary>
/// <param name="options">Which.</param>
[Component("blocked-words")]
public sealed class BlockedWords(BlockedWordsOptions options) : IFilter
{
    private readonly PhraseSet words = new([.. options.Words, .. options.List is null ? [] : PhraseSet.ReadList(options.List)], wholeWords: true);

    /// <inheritdoc/>
    public FilterResult Apply(Document document, long index)
    {
        ArgumentNullException.ThrowIfNull(document);
        var text = document.Text.Span;
        var count = words.CountIn(text);
        if (count == 0) return FilterResult.Keep(document.WithScore("blocked-words", 0));
        if (!options.Lines)
            return count > options.Allowed ? FilterResult.Reject("blocked words", $"{count}") : FilterResult.Keep(document.WithScore("blocked-words", 1000.0 * count / text.Length));
        var kept = new byte[text.Length];
        var (written, removed) = (0, 0L);
        var lines = new TextLines(text);
        while (lines.Next())
        {
            if (words.CountIn(lines.Line) > options.Allowed) removed++;
            else
            {
                var through = Math.Min(text.Length, lines.End + 1);
                text[lines.Start..through].CopyTo(kept.AsSpan(written));
                written += through - lines.Start;
            }
        }
        return FilterResult.Keep(document with { Text = kept.AsSpan(0, written).TrimEnd("\n"u8).ToArray() }) with { Counts = [new("lines removed", removed)] };
    }
}
