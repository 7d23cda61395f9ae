using System.Globalization;
using System.Text;
using Perennial.Core;

namespace Perennial.Data.Filters;

/// <summary>Options of <see cref="DateRange"/>.</summary>
public sealed record DateRangeOptions : IValidatedOptions
{
    /// <summary>The field that holds the date (a year, or ISO 8601). For a plain text file, <c>heading</c>: the year in the document's first line.</summary>
    public string Field { get; init; } = "date";

    /// <summary>What kind of date it is (crawl, published, changelog …); written down, since a crawl date only bounds the writing from above.</summary>
    public string Meaning { get; init; } = "published";

    /// <summary>First date kept: <c>1990</c>, <c>1990-05</c> or <c>1990-05-31</c>.</summary>
    public string? From { get; init; }

    /// <summary>Last date kept, through its end.</summary>
    public string? Until { get; init; }

    /// <summary>Whether documents without a readable date are kept. To be sure of a cut they are not.</summary>
    public bool Undated { get; init; }

    /// <inheritdoc/>
    public IEnumerable<(string Key, string Problem)> Problems()
    {
        if (From is not null && DateRange.First(From) is null) yield return ("from", $"'{From}' is not a date such as 1990, 1990-05 or 1990-05-31");
        if (Until is not null && DateRange.Last(Until) is null) yield return ("until", $"'{Until}' is not a date such as 1990, 1990-05 or 1990-05-31");
        if (From is null && Until is null) yield return ("until", "give from, until or both");
    }
}

/// <summary>Keeps documents of a range of dates and sets the score <c>year</c>.</summary>
/// <param name="options">The range.</param>
[Component("dates")]
public sealed class DateRange(DateRangeOptions options) : IFilter
{
    private readonly DateOnly from = options.From is null ? DateOnly.MinValue : First(options.From)!.Value;
    private readonly DateOnly until = options.Until is null ? DateOnly.MaxValue : Last(options.Until)!.Value;

    /// <inheritdoc/>
    public FilterResult Apply(Document document, long index)
    {
        ArgumentNullException.ThrowIfNull(document);
        var text = options.Field == "heading" ? Year(document.Text.Span) : document.Fields.GetValueOrDefault(options.Field)
            ?? (document.Scores.TryGetValue(options.Field, out var number) && number is > 0 and < 10_000 ? ((int)number).ToString("D4", CultureInfo.InvariantCulture) : null);
        if (text is null || First(text) is not { } earliest || Last(text) is not { } latest) return options.Undated ? FilterResult.Keep(document) : FilterResult.Reject($"no {options.Meaning} date");
        // A date known to the year alone must lie in the range with all of that year.
        if (earliest < from) return FilterResult.Reject($"{options.Meaning} before {options.From}");
        return latest > until ? FilterResult.Reject($"{options.Meaning} after {options.Until}") : FilterResult.Keep(document.WithScore("year", earliest.Year));
    }

    internal static DateOnly? First(string text) => Parse(text) is { } date ? new DateOnly(date.Year, date.Month ?? 1, date.Day ?? 1) : null;

    internal static DateOnly? Last(string text) => Parse(text) is not { } date ? null
        : date.Month is not { } month ? new DateOnly(date.Year, 12, 31)
        : new DateOnly(date.Year, month, date.Day ?? DateTime.DaysInMonth(date.Year, month));

    private static (int Year, int? Month, int? Day)? Parse(string text)
    {
        text = text.Trim();
        if (int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var year) && year is > 0 and < 10_000) return (year, null, null);
        if (DateTime.TryParseExact(text, "yyyy-MM", CultureInfo.InvariantCulture, DateTimeStyles.None, out var month)) return (month.Year, month.Month, null);
        return DateTime.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AdjustToUniversal | DateTimeStyles.AssumeUniversal, out var date) ? (date.Year, date.Month, date.Day) : null;
    }

    private static string? Year(ReadOnlySpan<byte> text)
    {
        var line = text[..(text.IndexOf((byte)'\n') is >= 0 and var end ? end : text.Length)];
        for (var at = 0; at + 4 <= line.Length; at++)
        {
            if (line.Slice(at, 4).IndexOfAnyExceptInRange((byte)'0', (byte)'9') >= 0) continue;
            if ((at == 0 || line[at - 1] is < (byte)'0' or > (byte)'9') && (at + 4 == line.Length || line[at + 4] is < (byte)'0' or > (byte)'9')) return Encoding.ASCII.GetString(line.Slice(at, 4));
        }
        return null;
    }
}
