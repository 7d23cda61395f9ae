using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Models;

/// <summary>How a decoder computes; nothing here changes what it computes.</summary>
public sealed record DecoderExecution
{
    /// <summary>Whether blocks keep only their input and compute the rest again in backward: less memory, one more forward pass; gradients are equal bit for bit.</summary>
    public bool CheckpointActivations { get; init; }
}

/// <summary>Llama, Qwen2 or GPT-2 by its <see cref="DecoderConfig"/>, for training and scoring.</summary>
public sealed class Decoder : ILanguageModel
{
    private readonly PlainDecoder plain;

    /// <summary>A decoder over zeroed parameters; fill them from a checkpoint, then call <see cref="ParametersChanged"/>.</summary>
    public Decoder(DecoderConfig config, Precision precision = Precision.Float32, DecoderExecution? execution = null)
    {
        ArgumentNullException.ThrowIfNull(config);
        Execution = execution ?? new DecoderExecution();
        plain = new PlainDecoder(config, precision);
    }

    /// <summary>A decoder with fresh weights drawn from <paramref name="seed"/> (see <see cref="DecoderInitializer"/>).</summary>
    public static Decoder Fresh(DecoderConfig config, ulong seed, Precision precision = Precision.Float32, DecoderExecution? execution = null)
    {
        var decoder = new Decoder(config, precision, execution);
        DecoderInitializer.Fill(decoder.Parameters, config, seed);
        decoder.ParametersChanged();
        return decoder;
    }

    /// <inheritdoc/>
    public DecoderConfig Config => plain.Config;

    /// <inheritdoc/>
    public FlatParameters Parameters => plain.Parameters;

    /// <inheritdoc/>
    public Precision Precision => plain.Precision;

    /// <summary>How it computes.</summary>
    public DecoderExecution Execution { get; }

    /// <inheritdoc/>
    public string HeadName => plain.HeadName;

    /// <inheritdoc/>
    public Tensor HeadWeight() => plain.HeadWeight();

    /// <inheritdoc/>
    public Tensor Hidden(ModelInput input) => plain.Hidden(input);

    /// <inheritdoc/>
    public void ParametersChanged() => plain.ParametersChanged();

    /// <inheritdoc/>
    public void Dispose()
    {
        plain.Dispose();
        Parameters.Dispose();
    }
}
