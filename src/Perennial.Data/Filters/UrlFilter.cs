using Perennial.Core;
using Perennial.Data.Curation;
using Perennial.Data.Text;

namespace Perennial.Data.Filters;

/// <summary>Options of <see cref="UrlFilter"/>.</summary>
public sealed record UrlFilterOptions : IValidatedOptions, IReadsFiles
{
    /// <summary>The field that holds the address.</summary>
    public string Field { get; init; } = "url";

    /// <summary>Domains left out, with everything below them.</summary>
    public IReadOnlyList<string> Domains { get; init; } = [];

    /// <summary>A file of further domains, one a line.</summary>
    public string? DomainList { get; init; }

    /// <summary>Words that may not stand in the address between other characters than letters.</summary>
    public IReadOnlyList<string> Words { get; init; } = [];

    /// <summary>A file of further words, one a line.</summary>
    public string? WordList { get; init; }

    /// <inheritdoc/>
    public IEnumerable<string> Files() => new[] { DomainList, WordList }.OfType<string>();

    /// <inheritdoc/>
    public IEnumerable<(string Key, string Problem)> Problems()
    {
        if (Domains.Count + Words.Count == 0 && DomainList is null && WordList is null) yield return ("domains", "nothing is blocked: give domains, domain-list, words or word-list");
    }
}

/// <summary>Leaves out documents whose address is of a blocked domain or holds a blocked word. Documents without an address go on.</summary>
/// <param name="options">What is blocked.</param>
[Component("url")]
public sealed class UrlFilter(UrlFilterOptions options) : IFilter
{
    private readonly HashSet<string> domains = new([.. options.Domains, .. options.DomainList is null ? [] : PhraseSet.ReadList(options.DomainList)], StringComparer.OrdinalIgnoreCase);
    private readonly PhraseSet words = new([.. options.Words, .. options.WordList is null ? [] : PhraseSet.ReadList(options.WordList)], wholeWords: true);

    /// <inheritdoc/>
    public FilterResult Apply(Document document, long index)
    {
        ArgumentNullException.ThrowIfNull(document);
        if (!document.Fields.TryGetValue(options.Field, out var address)) return FilterResult.Keep(document);
        var host = address.IndexOf("://", StringComparison.Ordinal) is >= 0 and var scheme ? address[(scheme + 3)..] : address;
        host = host[..(host.AsSpan().IndexOfAny('/', '?', '#') is >= 0 and var end ? end : host.Length)];
        host = host[(host.LastIndexOf('@') + 1)..].Split(':')[0].TrimEnd('.');
        for (var domain = host; ; domain = domain[(domain.IndexOf('.', StringComparison.Ordinal) + 1)..])
        {
            if (domains.Contains(domain)) return FilterResult.Reject("blocked domain", domain);
            if (!domain.Contains('.', StringComparison.Ordinal)) break;
        }
        var found = words.Find(System.Text.Encoding.UTF8.GetBytes(address), 0, out _);
        return found >= 0 ? FilterResult.Reject("blocked word in the address", words[found]) : FilterResult.Keep(document);
    }
}
