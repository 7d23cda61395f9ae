using System.ComponentModel.DataAnnotations;
using Perennial.Core;

namespace Perennial.Data.Filters;

/// <summary>Options of <see cref="LengthFilter"/>.</summary>
public sealed record LengthFilterOptions : IValidatedOptions
{
    /// <summary>Shortest document kept, UTF-8 bytes.</summary>
    [Range(0, long.MaxValue)]
    public Count Minimum { get; init; } = 1;

    /// <summary>Longest document kept, UTF-8 bytes.</summary>
    [Range(1, long.MaxValue)]
    public Count Maximum { get; init; } = long.MaxValue;

    /// <inheritdoc/>
    public IEnumerable<(string Key, string Problem)> Problems()
    {
        if (Minimum > Maximum) yield return ("minimum", $"must be at most maximum ({Maximum})");
    }
}

/// <summary>Keeps documents whose length in bytes lies in a range.</summary>
/// <param name="options">The range.</param>
[Component("length")]
public sealed class LengthFilter(LengthFilterOptions options) : IFilter
{
    /// <inheritdoc/>
    public FilterResult Apply(Document document, long index)
    {
        ArgumentNullException.ThrowIfNull(document);
        return document.Text.Length < options.Minimum ? FilterResult.Reject($"shorter than {options.Minimum} bytes")
            : document.Text.Length > options.Maximum ? FilterResult.Reject($"longer than {options.Maximum} bytes")
            : FilterResult.Keep(document);
    }
}
