using Perennial.Core;
using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Models;

/// <summary>Which family a decoder belongs to; decides Hugging Face names and <c>config.json</c>.</summary>
public enum ModelFamily
{
    /// <summary>RMSNorm, rotary positions, SwiGLU.</summary>
    Llama,

    /// <summary>Llama with biases on q, k and v.</summary>
    Qwen2,

    /// <summary>LayerNorm, learned positions, GELU (tanh form), fused qkv stored transposed, tied head.</summary>
    Gpt2,
}

/// <summary>Everything that defines a decoder's computation.</summary>
public sealed record DecoderConfig
{
    /// <summary>Family.</summary>
    public required ModelFamily Family { get; init; }

    /// <summary>Rows of the embedding.</summary>
    public required int Vocabulary { get; init; }

    /// <summary>Longest sequence.</summary>
    public required int Context { get; init; }

    /// <summary>Model width.</summary>
    public required int Width { get; init; }

    /// <summary>Number of blocks.</summary>
    public required int Layers { get; init; }

    /// <summary>Query heads; divides <see cref="Width"/> unless <see cref="HeadWidth"/> is given.</summary>
    public required int Heads { get; init; }

    /// <summary>Key and value heads; divides <see cref="Heads"/>.</summary>
    public required int KeyValueHeads { get; init; }

    /// <summary>Width of one head.</summary>
    public required int HeadWidth { get; init; }

    /// <summary>Inner width of the feed-forward part.</summary>
    public required int Intermediate { get; init; }

    /// <summary>Epsilon of the norms.</summary>
    public double NormEpsilon { get; init; } = 1e-5;

    /// <summary>Base of the rotary frequencies.</summary>
    public double RopeTheta { get; init; } = 10000;

    /// <summary>Whether the head is the embedding.</summary>
    public bool TiedHead { get; init; }

    /// <summary>Standard deviation of initial weights.</summary>
    public double InitializerRange { get; init; } = 0.02;

    /// <summary>
    /// Share of channels dropped while training, on the embeddings and on every sub-layer's output before it is added; 0 for none. Not in
    /// <c>config.json</c>: it does not change what the model computes in use.
    /// </summary>
    public double Dropout { get; init; }

    /// <summary>Id that ends a text, as <c>config.json</c> carries it.</summary>
    public int? EndOfText { get; init; }

    /// <summary>Whether GPT-2's GELU is the exact one (with the error function) instead of its tanh form.</summary>
    public bool ExactGelu { get; init; }

    /// <summary>What else an imported <c>config.json</c> said and a later export says again: a JSON object of keys that do not change the computation; null for none.</summary>
    public string? Carried { get; init; }
}

/// <summary>The recipe's <c>model:</c>: describes a decoder for a given vocabulary.</summary>
[ComponentRole("model")]
public interface IModelArchitecture
{
    /// <summary>The decoder's configuration.</summary>
    /// <param name="vocabulary">Size of the tokenizer's vocabulary.</param>
    /// <param name="endOfText">The tokenizer's end-of-text id.</param>
    DecoderConfig Describe(int vocabulary, int endOfText);

    /// <summary>Folder of a Hugging Face checkpoint that the weights start from; null for fresh weights.</summary>
    string? InitialCheckpoint { get; }
}

/// <summary>Tokens as the model sees them.</summary>
/// <param name="Tokens">Input ids, int64 <c>[batch, time]</c>.</param>
/// <param name="Segments">Document number of every token, int64 <c>[batch, time]</c>, or null when attention may cross documents.</param>
public sealed record ModelInput(Tensor Tokens, Tensor? Segments);

/// <summary>A decoder-only language model over flat parameters.</summary>
public interface ILanguageModel : IDisposable
{
    /// <summary>Its configuration.</summary>
    DecoderConfig Config { get; }

    /// <summary>Its parameters and gradients; names are those of the family's Hugging Face checkpoints, where <see cref="Map"/> does not say otherwise.</summary>
    FlatParameters Parameters { get; }

    /// <summary>How its plain weights are made of the parameters; null where they are the parameters themselves.</summary>
    WeightMap? Map => null;

    /// <summary>The precision of matrix products.</summary>
    Precision Precision { get; }

    /// <summary>
    /// What dropout is drawn by in calls of <see cref="Hidden"/> that build a graph. Whoever trains sets it before every micro-batch, to that micro-batch's
    /// samples. Ignored where <see cref="DecoderConfig.Dropout"/> is 0.
    /// </summary>
    DropoutKey? Dropout { get; set; }

    /// <summary>Final hidden states after the last norm, <c>[batch, time, width]</c>, in the compute type: float32, for <see cref="Precision.Bfloat16"/> bfloat16 or, where the processor has no such products, float32; builds an autograd graph when gradients are enabled.</summary>
    Tensor Hidden(ModelInput input);

    /// <summary>The unembedding, <c>[vocabulary, width]</c>, in the type of the hidden states (a view; dispose it). Its gradient entry is <see cref="HeadName"/>.</summary>
    Tensor HeadWeight();

    /// <summary>Name of the flat entry that holds the unembedding (the embedding's when tied).</summary>
    string HeadName { get; }

    /// <summary>Which rows of the unembedding <see cref="HeadWeight"/> has, where other processes hold the rest; null for all.</summary>
    VocabularyShard? HeadShard => null;

    /// <summary>Must be called after <see cref="FlatParameters.Values"/> changed: refreshes the bfloat16 copy, if there is one.</summary>
    void ParametersChanged();
}
