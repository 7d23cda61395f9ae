using System.ComponentModel.DataAnnotations;
using Perennial.Core;
using Perennial.Data.Curation;

namespace Perennial.Data.Filters;

/// <summary>Options of <see cref="PerplexityFilter"/>.</summary>
public sealed record PerplexityFilterOptions : IValidatedOptions, IReadsFiles
{
    /// <summary>Clean text that the n-gram model is trained on: files, folders or globs, apart from what is filtered.</summary>
    [MinLength(1)]
    public required IReadOnlyList<string> Reference { get; init; }

    /// <summary>Bytes of the reference that are read at most.</summary>
    [Range(1, long.MaxValue)]
    public Count Bytes { get; init; } = 32_000_000;

    /// <summary>Longest n-gram, in words.</summary>
    [Range(1, 7)]
    public int Order { get; init; } = 5;

    /// <summary>Smallest perplexity a word that is kept (very low is mere repetition).</summary>
    [Range(0.0, double.MaxValue)]
    public double Above { get; init; }

    /// <summary>Largest perplexity a word that is kept.</summary>
    [Range(0.0, double.MaxValue)]
    public double Below { get; init; } = double.MaxValue;

    /// <inheritdoc/>
    public IEnumerable<string> Files() => Reference;

    /// <inheritdoc/>
    public IEnumerable<(string Key, string Problem)> Problems()
    {
        if (Above >= Below) yield return ("above", "must be less than below");
    }
}

/// <summary>Keeps documents whose perplexity under an n-gram model of clean text lies in a range, and sets the score <c>perplexity</c>. For shares instead of values, put <c>band</c> behind it.</summary>
/// <param name="options">Reference and range.</param>
[Component("perplexity")]
public sealed class PerplexityFilter(PerplexityFilterOptions options) : IFilter
{
    private readonly Lazy<NgramModel> model = new(() => NgramModel.Train([.. ReferenceText.Read(options.Reference, bytes: options.Bytes).Select(document => document.Text)], options.Order));

    /// <inheritdoc/>
    public FilterResult Apply(Document document, long index)
    {
        ArgumentNullException.ThrowIfNull(document);
        var perplexity = model.Value.Perplexity(document.Text.Span);
        return perplexity > options.Below ? FilterResult.Reject("perplexity too high", $"{perplexity:F0}")
            : perplexity < options.Above ? FilterResult.Reject("perplexity too low", $"{perplexity:F0}")
            : FilterResult.Keep(document.WithScore("perplexity", perplexity));
    }
}
