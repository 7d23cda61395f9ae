using Perennial.Core;

namespace Perennial.Models;

/// <summary>Options of <see cref="Qwen2Architecture"/>.</summary>
public sealed record Qwen2Options : RotaryDecoderOptions
{
    /// <summary>Defaults where Qwen2 differs from Llama.</summary>
    public Qwen2Options()
    {
        NormEpsilon = 1e-6;
        RopeTheta = 1e6;
    }
}

/// <summary>Qwen2: Llama with biases on queries, keys and values (Yang et al. 2024).</summary>
[Component("qwen2")]
public sealed class Qwen2Architecture(Qwen2Options options) : IModelArchitecture
{
    /// <inheritdoc/>
    public string? InitialCheckpoint => options.From;

    /// <inheritdoc/>
    public DecoderConfig Describe(int vocabulary, int endOfText) => options.Describe(ModelFamily.Qwen2, vocabulary, endOfText);
}
