using System.ComponentModel.DataAnnotations;
using Perennial.Core;

namespace Perennial.Data.Injection;

/// <summary>A named experiment whose texts are planted into the training stream, over what stood there.</summary>
public sealed record InjectionOptions : IValidatedOptions
{
    /// <summary>Its name: part of the key of its places, so that other experiments do not move them.</summary>
    [RegularExpression("[a-z0-9]+(-[a-z0-9]+)*")]
    public required string Name { get; init; }

    /// <summary>Its texts: a file as a source reads it (.jsonl: one text a line).</summary>
    public required string Path { get; init; }

    /// <summary>The field that holds the text.</summary>
    public string Field { get; init; } = "text";

    /// <summary>First sample that may be changed, as a stretch from the run's beginning.</summary>
    public RunLength From { get; init; } = RunLength.None;

    /// <summary>Samples from here on are not changed.</summary>
    public RunLength To { get; init; } = new(1, RunUnit.Fraction);

    /// <summary>Copies of each text; a fraction takes that share of the texts once. A numeric field <c>repeat</c> of a text comes before this.</summary>
    [Range(0.0, 1_000_000)]
    public double Repeat { get; init; } = 1;

    /// <summary>Positions in the training stream, in samples, for the copies in order; drawn at random when left out.</summary>
    public IReadOnlyList<long> Positions { get; init; } = [];

    /// <inheritdoc/>
    public IEnumerable<(string Key, string Problem)> Problems()
    {
        if (Positions.Any(position => position < 0)) yield return ("positions", "must be at least 0");
    }
}
