using Perennial.Core;

namespace Perennial.Models;

/// <summary>Options of <see cref="LlamaArchitecture"/>.</summary>
public sealed record LlamaOptions : RotaryDecoderOptions;

/// <summary>Llama: RMSNorm, rotary positions, SwiGLU, grouped-query attention (Touvron et al. 2023).</summary>
[Component("llama")]
public sealed class LlamaArchitecture(LlamaOptions options) : IModelArchitecture
{
    /// <inheritdoc/>
    public string? InitialCheckpoint => options.From;

    /// <inheritdoc/>
    public DecoderConfig Describe(int vocabulary, int endOfText) => options.Describe(ModelFamily.Llama, vocabulary, endOfText);
}
