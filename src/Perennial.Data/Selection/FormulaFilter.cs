using Perennial.Core;
using Perennial.Data.Text;

namespace Perennial.Data.Selection;

/// <summary>Options of <see cref="FormulaFilter"/>.</summary>
public sealed record FormulaFilterOptions : IValidatedOptions
{
    /// <summary>What must be true for a document to be kept, such as <c>quality &gt; 0.5 and words &gt;= 50</c>; none keeps all.</summary>
    public string? Where { get; init; }

    /// <summary>Name of a score to be set.</summary>
    public string? Set { get; init; }

    /// <summary>Its formula.</summary>
    public string? To { get; init; }

    /// <inheritdoc/>
    public IEnumerable<(string Key, string Problem)> Problems()
    {
        if (Where is null && Set is null) yield return ("where", "give where, set, or both");
        if (Set is null != To is null) yield return ("set", "set and to belong together");
        if (Where is not null && Formula.Parse(Where, out var problem) is null) yield return ("where", problem!);
        if (To is not null && Formula.Parse(To, out var other) is null) yield return ("to", other!);
    }
}

/// <summary>
/// Keeps documents for which a formula is true, and sets scores by formulas. Names are the document's scores, and <c>bytes</c>,
/// <c>words</c>, <c>lines</c>, <c>letters</c> (share of bytes), <c>digits</c>, <c>uppercase</c>, <c>punctuation</c>.
/// </summary>
/// <param name="options">The formulas.</param>
[Component("formula")]
public sealed class FormulaFilter(FormulaFilterOptions options) : IFilter
{
    private readonly Formula? where = options.Where is null ? null : Formula.Parse(options.Where, out _);
    private readonly Formula? to = options.To is null ? null : Formula.Parse(options.To, out _);

    /// <inheritdoc/>
    public FilterResult Apply(Document document, long index)
    {
        ArgumentNullException.ThrowIfNull(document);
        if (to is not null) document = document.WithScore(options.Set!, to.Evaluate(name => Value(document, name)));
        return where is null || where.Evaluate(name => Value(document, name)) != 0 ? FilterResult.Keep(document) : FilterResult.Reject($"not {options.Where}");
    }

    private static double Value(Document document, string name)
    {
        if (document.Scores.TryGetValue(name, out var score)) return score;
        var text = document.Text.Span;
        return name switch
        {
            "bytes" => text.Length,
            "words" => DocumentWords.Of(document.Text).Count,
            "lines" => text.Count((byte)'\n') + 1,
            "letters" => Share(text, value => value is >= (byte)'a' and <= (byte)'z' or >= (byte)'A' and <= (byte)'Z' or >= 0x80),
            "digits" => Share(text, value => value is >= (byte)'0' and <= (byte)'9'),
            "uppercase" => Share(text, value => value is >= (byte)'A' and <= (byte)'Z'),
            "punctuation" => Share(text, value => value is > (byte)' ' and < (byte)'0' or > (byte)'9' and < (byte)'A' or > (byte)'Z' and < (byte)'a' or > (byte)'z' and < 0x7F),
            _ => throw PerennialException.Usage($"formula: a document of {document.Origin.Path} has no score '{name}'; it has {string.Join(", ", document.Scores.Keys.Order(StringComparer.Ordinal))} and bytes, words, lines, letters, digits, uppercase, punctuation"),
        };
    }

    private static double Share(ReadOnlySpan<byte> text, Func<byte, bool> counts)
    {
        var count = 0;
        foreach (var value in text) count += counts(value) ? 1 : 0;
        return count / (double)Math.Max(1, text.Length);
    }
}
