using System.ComponentModel.DataAnnotations;
using System.IO.Hashing;
using Perennial.Core;
using Perennial.Data.Preparation;

namespace Perennial.Data.Filters;

/// <summary>Options of <see cref="SampleFilter"/>.</summary>
public sealed record SampleFilterOptions
{
    /// <summary>Share of the documents that are kept.</summary>
    [Range(0.0, 1.0)]
    public double Keep { get; init; } = 0.5;
}

/// <summary>Keeps a random share of the documents: the control that every other filter must beat at the same size.</summary>
/// <param name="options">The share.</param>
/// <param name="context">The run's seed.</param>
[Component("sample")]
public sealed class SampleFilter(SampleFilterOptions options, FilterContext context) : IFilter
{
    /// <inheritdoc/>
    public FilterResult Apply(Document document, long index)
    {
        ArgumentNullException.ThrowIfNull(document);
        var key = (XxHash3.HashToUInt64(document.Text.Span, (long)context.Seed) ^ (ulong)index * 0x9E3779B97F4A7C15) & 0xFFFF_FFFF_FFFF;
        return Philox.Uniform(context.Seed, RandomPurpose.Corruption, key, 1UL << 41) < options.Keep ? FilterResult.Keep(document) : FilterResult.Reject("not drawn");
    }
}
