using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Models;

/// <summary>
/// Llama, Qwen2 or GPT-2 by its <see cref="DecoderConfig"/>, for training and scoring. Forward and backward are written
/// out by hand (see <see cref="FlatParameters"/> for how gradients reach the flat buffer); sizes that the kernels do not
/// fit (a head's width not a multiple of 16, a width not of 8) and exact GELU are computed by <see cref="PlainDecoder"/>.
/// </summary>
public sealed class Decoder : ILanguageModel
{
    private readonly DecoderNames names;
    private readonly IDecoderGraph? graph;
    private readonly PlainDecoder? plain;
    private readonly Tensor anchor;

    /// <summary>A decoder over zeroed parameters; fill them from a checkpoint, then call <see cref="ParametersChanged"/>.</summary>
    public Decoder(DecoderConfig config, Precision precision = Precision.Float32, DecoderExecution? execution = null)
    {
        ArgumentNullException.ThrowIfNull(config);
        (Config, Precision, Execution) = (config, precision, execution ?? new DecoderExecution());
        names = new DecoderNames(config);
        Parameters = new FlatParameters(DecoderLayout.Of(config));
        anchor = zeros(1, requires_grad: true).DetachFromDisposeScope();
        var checkpoint = Execution.CheckpointActivations;
        if (!DecoderGraph<Float32Storage>.Fits(config))
            plain = new PlainDecoder(config, precision, Parameters);
        else if (precision == Precision.Float32)
            graph = new DecoderGraph<Float32Storage>(config, Parameters, checkpoint);
        else if (Execution.NativeBfloat16 ?? Bfloat16.IsNative)
            graph = new DecoderGraph<Bfloat16Storage>(config, Parameters, checkpoint);
        else
            graph = new DecoderGraph<RoundedStorage>(config, Parameters, checkpoint);
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
    public DecoderConfig Config { get; }

    /// <inheritdoc/>
    public FlatParameters Parameters { get; }

    /// <inheritdoc/>
    public Precision Precision { get; }

    /// <summary>How it computes.</summary>
    public DecoderExecution Execution { get; }

    /// <inheritdoc/>
    public string HeadName => names.Head;

    /// <inheritdoc/>
    public Tensor HeadWeight() => plain?.HeadWeight() ?? FlatParameters.View(graph!.ComputeWeights, Parameters.Layout[HeadName]);

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">An id is not in the vocabulary, or the sequences are longer than the context.</exception>
    public Tensor Hidden(ModelInput input)
    {
        ArgumentNullException.ThrowIfNull(input);
        var (rows, time) = ((int)input.Tokens.shape[0], (int)input.Tokens.shape[1]);
        if (time > Config.Context) throw new ArgumentException($"{time} tokens are more than the context of {Config.Context}");
        if (plain is not null) return plain.Hidden(input);
        using var scope = NewDisposeScope();
        var ids = input.Tokens.to_type(ScalarType.Int64).contiguous();
        CheckIds(ids);
        var shape = new SequenceShape(new AttentionShape(rows, time, Config.Heads, Config.KeyValueHeads, Config.HeadWidth), Starts(input.Segments, rows, time));
        if (!is_grad_enabled()) return graph!.Forward(shape, ids, null).MoveToOuterDisposeScope();
        // Backward outlives this call and disposes its own handle on the ids.
        return HiddenFunction.apply(anchor, new HiddenCall(graph!, shape, ids.alias().DetachFromDisposeScope())).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public void ParametersChanged()
    {
        graph?.ParametersChanged();
        plain?.ParametersChanged();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        graph?.Dispose();
        plain?.Dispose();
        anchor.Dispose();
        Parameters.Dispose();
    }

    private unsafe void CheckIds(Tensor ids)
    {
        // The kernels read the embedding's memory at these ids: one outside must not get that far.
        foreach (var id in new ReadOnlySpan<long>((void*)TensorMemory.Address<long>(ids), checked((int)ids.NumberOfElements)))
            if ((ulong)id >= (ulong)Config.Vocabulary) throw new ArgumentException($"token id {id} is not in the vocabulary of {Config.Vocabulary}");
    }

    private static unsafe int[]? Starts(Tensor? segments, int rows, int time)
    {
        if (segments is null) return null;
        using var scope = NewDisposeScope();
        var dense = segments.to_type(ScalarType.Int64).contiguous();
        var documents = new ReadOnlySpan<long>((void*)TensorMemory.Address<long>(dense), rows * time);
        var starts = new int[rows * time];
        for (var i = 0; i < starts.Length; i++)
            starts[i] = i % time != 0 && documents[i] == documents[i - 1] ? starts[i - 1] : i % time;
        return starts;
    }
}
