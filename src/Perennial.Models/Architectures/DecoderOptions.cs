using System.ComponentModel.DataAnnotations;
using Perennial.Core;

namespace Perennial.Models;

/// <summary>What the decoder families have in common in a recipe.</summary>
public abstract record DecoderOptions : IValidatedOptions
{
    /// <summary>Number of blocks.</summary>
    [Range(1, 1024)]
    public int Layers { get; init; } = 6;

    /// <summary>Width of the residual stream.</summary>
    [Range(2, 65536)]
    public int Width { get; init; } = 256;

    /// <summary>Attention heads; must divide width.</summary>
    [Range(1, 1024)]
    public int Heads { get; init; } = 8;

    /// <summary>Longest sequence in tokens; also the training window.</summary>
    [Range(1, 1 << 20)]
    public int Context { get; init; } = 256;

    /// <summary>Epsilon inside the norms.</summary>
    [Range(1e-12, 1e-2)]
    public double NormEpsilon { get; init; } = 1e-5;

    /// <summary>Standard deviation of initial weights.</summary>
    [Range(1e-6, 1)]
    public double InitializerRange { get; init; } = 0.02;

    /// <summary>
    /// Share of channels dropped while training, on the embeddings and on every sub-layer's output (Vaswani et al. 2017). Masks follow the sample, not the process
    /// that computes it.
    /// </summary>
    [Range(0.0, 0.9)]
    public double Dropout { get; init; }

    /// <summary>Folder of a Hugging Face checkpoint to start from; fresh weights when left out.</summary>
    public string? From { get; init; }

    /// <inheritdoc/>
    public virtual IEnumerable<(string Key, string Problem)> Problems()
    {
        if (Heads > 0 && Width % Heads != 0) yield return ("heads", $"{Heads} heads do not divide width {Width}; take a divisor of {Width}");
    }
}

/// <summary>What Llama and Qwen2 share in a recipe.</summary>
public abstract record RotaryDecoderOptions : DecoderOptions
{
    /// <summary>Key and value heads (grouped-query attention); must divide heads; as many as heads when left out.</summary>
    [Range(1, 1024)]
    public int? KeyValueHeads { get; init; }

    /// <summary>Inner width of the feed-forward part; 8/3 of width rounded up to a multiple of 64 when left out.</summary>
    [Range(1, 1 << 20)]
    public int? Intermediate { get; init; }

    /// <summary>Whether the head is the embedding.</summary>
    public bool TiedHead { get; init; }

    /// <summary>Base of the rotary frequencies.</summary>
    [Range(1.0, 1e12)]
    public double RopeTheta { get; init; } = 10000;

    /// <inheritdoc/>
    public override IEnumerable<(string Key, string Problem)> Problems()
    {
        foreach (var problem in base.Problems()) yield return problem;
        if (KeyValueHeads is > 0 and var keys && Heads % keys != 0) yield return ("key-value-heads", $"{keys} key-value heads do not divide {Heads} heads; take a divisor of {Heads}");
        if (Heads > 0 && Width % Heads == 0 && Width / Heads % 2 != 0) yield return ("heads", $"a head of width {Width / Heads} is odd; rotary positions need an even one");
    }

    internal DecoderConfig Describe(ModelFamily family, int vocabulary, int endOfText) => new()
    {
        Family = family,
        Vocabulary = vocabulary,
        Context = Context,
        Width = Width,
        Layers = Layers,
        Heads = Heads,
        KeyValueHeads = KeyValueHeads ?? Heads,
        HeadWidth = Width / Heads,
        Intermediate = Intermediate ?? ((8 * Width + 2) / 3 + 63) / 64 * 64,
        NormEpsilon = NormEpsilon,
        RopeTheta = RopeTheta,
        TiedHead = TiedHead,
        InitializerRange = InitializerRange,
        Dropout = Dropout,
        EndOfText = endOfText,
    };
}
