using System.ComponentModel.DataAnnotations;
using Perennial.Core;

namespace Perennial.Models;

/// <summary>Options of <see cref="Gpt2Architecture"/>.</summary>
public sealed record Gpt2Options : DecoderOptions
{
    /// <summary>Inner width of the feed-forward part; 4 times width when left out.</summary>
    [Range(1, 1 << 20)]
    public int? Intermediate { get; init; }
}

/// <summary>GPT-2: LayerNorm, learned positions, GELU, head tied to the embedding (Radford et al. 2019).</summary>
[Component("gpt2")]
public sealed class Gpt2Architecture(Gpt2Options options) : IModelArchitecture
{
    /// <inheritdoc/>
    public string? InitialCheckpoint => options.From;

    /// <inheritdoc/>
    public DecoderConfig Describe(int vocabulary, int endOfText) => new()
    {
        Family = ModelFamily.Gpt2,
        Vocabulary = vocabulary,
        Context = options.Context,
        Width = options.Width,
        Layers = options.Layers,
        Heads = options.Heads,
        KeyValueHeads = options.Heads,
        HeadWidth = options.Width / options.Heads,
        Intermediate = options.Intermediate ?? 4 * options.Width,
        NormEpsilon = options.NormEpsilon,
        TiedHead = true,
        InitializerRange = options.InitializerRange,
        Dropout = options.Dropout,
        EndOfText = endOfText,
    };
}
