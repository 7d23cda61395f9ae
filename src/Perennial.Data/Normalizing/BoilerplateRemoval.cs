using System.ComponentModel.DataAnnotations;
using Perennial.Core;
using Perennial.Data.Curation;
using Perennial.Data.Text;

namespace Perennial.Data.Normalizing;

/// <summary>Options of <see cref="BoilerplateRemoval"/>.</summary>
public sealed record BoilerplateOptions : IReadsFiles
{
    /// <summary>A file of further phrases, one a line.</summary>
    public string? Phrases { get; init; }

    /// <summary>Longest line that counts as boilerplate, UTF-8 bytes: prose that mentions cookies stays.</summary>
    [Range(1, 100_000)]
    public int Longest { get; init; } = 240;

    /// <inheritdoc/>
    public IEnumerable<string> Files() => Phrases is null ? [] : [Phrases];
}

/// <summary>Removes lines of web pages that say nothing about their subject: cookie and copyright notices, share and login links, navigation.</summary>
/// <param name="options">Which.</param>
[Component("boilerplate")]
public sealed class BoilerplateRemoval(BoilerplateOptions options) : IFilter
{
    private static readonly string[] Usual =
    [
        "all rights reserved", "privacy policy", "cookie policy", "terms of use", "terms of service", "terms and conditions", "uses cookies", "use of cookies", "use cookies", "accept cookies", "accept all cookies", "cookie settings",
        "enable javascript", "javascript is disabled", "javascript is required", "subscribe to our newsletter", "sign up for our newsletter", "share on facebook", "share on twitter", "share this article", "share this post", "share this page",
        "follow us on", "like us on facebook", "click here to", "log in to comment", "login to comment", "sign in to comment", "leave a comment", "leave a reply", "post a comment", "skip to content", "skip to main content",
        "back to top", "read more »", "continue reading", "related articles", "related posts", "you may also like", "powered by wordpress", "your browser does not support", "forgot your password", "create an account", "add to cart", "advertisement",
    ];

    private readonly PhraseSet phrases = new([.. Usual, .. options.Phrases is null ? [] : PhraseSet.ReadList(options.Phrases)], wholeWords: false);

    /// <inheritdoc/>
    public FilterResult Apply(Document document, long index)
    {
        ArgumentNullException.ThrowIfNull(document);
        var text = document.Text.Span;
        if (phrases.Find(text, 0, out _) < 0) return FilterResult.Keep(document);
        var kept = new byte[text.Length];
        var (written, removed) = (0, 0L);
        var lines = new TextLines(text);
        while (lines.Next())
        {
            if (lines.Line.Length <= options.Longest && phrases.IsIn(lines.Line)) removed++;
            else
            {
                var through = Math.Min(text.Length, lines.End + 1);
                text[lines.Start..through].CopyTo(kept.AsSpan(written));
                written += through - lines.Start;
            }
        }
        return removed == 0 ? FilterResult.Keep(document) : FilterResult.Keep(document with { Text = kept.AsSpan(0, written).TrimEnd("\n"u8).ToArray() }) with { Counts = [new("lines removed", removed)] };
    }
}
