using System.ComponentModel.DataAnnotations;
using Perennial.Core;
using Perennial.Data.Curation;

namespace Perennial.Data.Filters;

/// <summary>Options of <see cref="LanguageFilter"/>.</summary>
public sealed record LanguageFilterOptions : IValidatedOptions, IReadsFiles
{
    /// <summary>Languages kept, as ISO 639-1 codes; empty keeps all and only writes the score.</summary>
    public IReadOnlyList<string> Keep { get; init; } = ["en"];

    /// <summary>Smallest probability of the language for a document to be kept.</summary>
    [Range(0.0, 1.0)]
    public double Probability { get; init; } = 0.65;

    /// <summary>A file of texts to train on instead of those that ship: <c>### code</c>, then lines of that language.</summary>
    public string? Texts { get; init; }

    /// <inheritdoc/>
    public IEnumerable<string> Files() => Texts is null ? [] : [Texts];

    /// <inheritdoc/>
    public IEnumerable<(string Key, string Problem)> Problems()
    {
        foreach (var language in Keep.Where(language => Texts is null && !LanguageProfiles.Default.Languages.Contains(language)))
            yield return ("keep", $"'{language}' is not one of {string.Join(", ", LanguageProfiles.Default.Languages)}");
    }
}

/// <summary>Keeps documents of given languages, told by byte n-grams; sets the score <c>language-probability</c> and the field <c>language</c>.</summary>
/// <param name="options">Which languages.</param>
[Component("language")]
public sealed class LanguageFilter(LanguageFilterOptions options) : IFilter
{
    private readonly Lazy<LanguageProfiles> profiles = new(() => options.Texts is null ? LanguageProfiles.Default : LanguageProfiles.Train(options.Texts));

    /// <inheritdoc/>
    public FilterResult Apply(Document document, long index)
    {
        ArgumentNullException.ThrowIfNull(document);
        var (language, probability) = profiles.Value.Identify(document.Text.Span);
        if (options.Keep.Count > 0)
        {
            if (!options.Keep.Contains(language)) return FilterResult.Reject("other language", $"{language} {probability:F2}");
            if (probability < options.Probability) return FilterResult.Reject("language not sure", $"{language} {probability:F2}");
        }
        var fields = new Dictionary<string, string>(document.Fields, StringComparer.Ordinal) { ["language"] = language };
        return FilterResult.Keep(document.WithScore("language-probability", probability) with { Fields = fields });
    }
}
