using System.ComponentModel.DataAnnotations;
using Perennial.Core;

namespace Perennial.Experiments.Catalog;

/// <summary>How far a paper is built.</summary>
public enum PaperStatus
{
    /// <summary>Nothing that is its own.</summary>
    None,

    /// <summary>Some of its parts; its comparison does not run yet.</summary>
    Partial,

    /// <summary>Runs through the harness against its own baseline.</summary>
    Works,
}

/// <summary>One paper of <c>papers/catalog.yaml</c>.</summary>
public sealed record CatalogEntry
{
    /// <summary>Its number, for good.</summary>
    [Range(1, 999)]
    public required int Number { get; init; }

    /// <summary>Its folder's name after the number.</summary>
    [RegularExpression("[a-z0-9]+(-[a-z0-9]+)*")]
    public required string Slug { get; init; }

    /// <summary>The paper's title.</summary>
    public required string Title { get; init; }

    /// <summary>Year of its first version.</summary>
    [Range(1900, 2100)]
    public required int Year { get; init; }

    /// <summary>arXiv number; null when there is none at hand.</summary>
    public string? Arxiv { get; init; }

    /// <summary>What it gives a user, in a line.</summary>
    public required string Gives { get; init; }

    /// <summary>How far it is built.</summary>
    public PaperStatus Status { get; init; }

    /// <summary>Name of its folder: <c>06-curriculum-vs-lr-decay</c>.</summary>
    public string Name => $"{Number:00}-{Slug}";
}

/// <summary>The file <c>papers/catalog.yaml</c>.</summary>
public sealed record CatalogFile : IValidatedOptions
{
    /// <summary>The papers.</summary>
    [MinLength(1)]
    public required IReadOnlyList<CatalogEntry> Papers { get; init; }

    /// <inheritdoc/>
    public IEnumerable<(string Key, string Problem)> Problems()
    {
        foreach (var twice in Papers.GroupBy(paper => paper.Number).Where(group => group.Count() > 1))
            yield return ("papers", $"names number {twice.Key} twice");
    }
}
