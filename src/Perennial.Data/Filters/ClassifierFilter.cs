using System.ComponentModel.DataAnnotations;
using Perennial.Core;
using Perennial.Data.Curation;

namespace Perennial.Data.Filters;

/// <summary>Options of <see cref="ClassifierFilter"/>.</summary>
public sealed record ClassifierFilterOptions : IValidatedOptions, IReadsFiles
{
    /// <summary>Name of the score, such as <c>quality</c> or <c>toxicity</c>.</summary>
    public string Name { get; init; } = "quality";

    /// <summary>A model that <c>data classifier</c> trained; instead of positive and negative.</summary>
    public string? Model { get; init; }

    /// <summary>Texts of the class that scores high: files, folders or globs.</summary>
    public IReadOnlyList<string> Positive { get; init; } = [];

    /// <summary>Texts of the other class.</summary>
    public IReadOnlyList<string> Negative { get; init; } = [];

    /// <summary>Logarithm of the number of hash buckets.</summary>
    [Range(8, 28)]
    public int Bits { get; init; } = 18;

    /// <summary>Longest n-gram of words.</summary>
    [Range(1, 5)]
    public int Ngram { get; init; } = 2;

    /// <summary>Passes over the texts.</summary>
    [Range(1, 1000)]
    public int Passes { get; init; } = 5;

    /// <summary>Smallest score that is kept.</summary>
    [Range(0.0, 1.0)]
    public double Above { get; init; }

    /// <summary>Largest score that is kept. With <c>name: toxicity</c> this is the usual threshold; <c>above</c> is the inverse filter.</summary>
    [Range(0.0, 1.0)]
    public double Below { get; init; } = 1;

    /// <inheritdoc/>
    public IEnumerable<string> Files() => Model is null ? [.. Positive, .. Negative] : [Model];

    /// <inheritdoc/>
    public IEnumerable<(string Key, string Problem)> Problems()
    {
        if (Model is null && (Positive.Count == 0 || Negative.Count == 0)) yield return ("model", "give a model, or positive and negative texts to train one");
        if (Model is not null && Positive.Count + Negative.Count > 0) yield return ("model", "either a model or texts to train one, not both");
        if (Above > Below) yield return ("above", "must be at most below");
    }
}

/// <summary>Scores documents with a linear classifier of hashed word n-grams (quality, toxicity …) and keeps a range of scores.</summary>
/// <param name="options">Model or texts, and range.</param>
[Component("classifier")]
public sealed class ClassifierFilter(ClassifierFilterOptions options) : IFilter
{
    private readonly Lazy<LinearClassifier> model = new(() => options.Model is { } path
        ? LinearClassifier.Load(path)
        : LinearClassifier.Train([.. ReferenceText.Read(options.Positive).Select(document => document.Text)], [.. ReferenceText.Read(options.Negative).Select(document => document.Text)], options.Bits, options.Ngram, options.Passes));

    /// <inheritdoc/>
    public FilterResult Apply(Document document, long index)
    {
        ArgumentNullException.ThrowIfNull(document);
        var score = model.Value.Score(document.Text.Span);
        return score < options.Above ? FilterResult.Reject($"{options.Name} below {options.Above}", $"{score:F3}")
            : score > options.Below ? FilterResult.Reject($"{options.Name} above {options.Below}", $"{score:F3}")
            : FilterResult.Keep(document.WithScore(options.Name, score));
    }
}
