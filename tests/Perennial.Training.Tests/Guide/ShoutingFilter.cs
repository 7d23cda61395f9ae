using System.ComponentModel.DataAnnotations;
using Perennial.Core;

namespace Perennial.Data.Filters;

/// <summary>Options of <see cref="ShoutingFilter"/>.</summary>
public sealed record ShoutingOptions
{
    /// <summary>Largest share of capitals.</summary>
    [Range(0.0, 1.0)]
    public double Capitals { get; init; } = 0.5;
}

/// <summary>Leaves out documents that shout.</summary>
/// <param name="options">How much is too much.</param>
[Component("shouting")]
public sealed class ShoutingFilter(ShoutingOptions options) : IFilter
{
    /// <inheritdoc/>
    public FilterResult Apply(Document document, long index)
    {
        var capitals = 0;
        foreach (var value in document.Text.Span) capitals += value is >= (byte)'A' and <= (byte)'Z' ? 1 : 0;
        return capitals > options.Capitals * document.Text.Length ? FilterResult.Reject("shouts") : FilterResult.Keep(document);
    }
}
