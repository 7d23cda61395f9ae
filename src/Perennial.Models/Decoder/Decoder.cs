using Perennial.Core;
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
    private readonly DecoderShard shard;

    /// <summary>A decoder over zeroed parameters; fill them from a checkpoint, then call <see cref="ParametersChanged"/>.</summary>
    /// <param name="config">Its configuration.</param>
    /// <param name="precision">Precision of matrix products.</param>
    /// <param name="execution">How it computes.</param>
    /// <param name="map">What its matrices are made of (owned by the decoder from here on); null where they are parameters themselves.</param>
    public Decoder(DecoderConfig config, Precision precision = Precision.Float32, DecoderExecution? execution = null, WeightMap? map = null)
        : this(DecoderShard.Whole(config), map, precision, execution)
    {
    }

    /// <summary>A part of a decoder, over zeroed parameters.</summary>
    /// <exception cref="PerennialException">Exit 2: the model's sizes do not fit the kernels that parts are computed by.</exception>
    public Decoder(DecoderShard shard, Precision precision = Precision.Float32, DecoderExecution? execution = null)
        : this(shard, null, precision, execution)
    {
    }

    private Decoder(DecoderShard shard, WeightMap? map, Precision precision, DecoderExecution? execution)
    {
        ArgumentNullException.ThrowIfNull(shard);
        (this.shard, Map, Config, Precision, Execution) = (shard, map, shard.Config, precision, execution ?? new DecoderExecution());
        var config = Config;
        if (!shard.IsWhole && !DecoderGraph<Float32Storage>.Fits(shard.Local))
            throw PerennialException.Usage($"parallel: a part of this model (width {config.Width}, {shard.Intermediate} of {config.Intermediate} inner columns, head width {config.HeadWidth}{(config.ExactGelu ? ", exact GELU" : "")}) does not fit the kernels: width and inner columns must be multiples of 8, head widths of 16, GELU in its tanh form; use data parallelism alone");
        names = new DecoderNames(config);
        if (Execution.SharedGradients && (map is not null || !shard.IsWhole || !DecoderGraph<Float32Storage>.Fits(config)))
            throw PerennialException.Usage("training.per-layer: needs a whole model whose matrices are parameters themselves and whose sizes fit the kernels (width and inner width multiples of 8, head width of 16, GELU in its tanh form)");
        Parameters = new FlatParameters(map?.Layout ?? DecoderLayout.Of(shard), Execution.SharedGradients ? DecoderLayout.SharedGradients(config) : null);
        anchor = zeros(1, requires_grad: true).DetachFromDisposeScope();
        var checkpoint = Execution.CheckpointActivations;
        if (!DecoderGraph<Float32Storage>.Fits(config))
            plain = new PlainDecoder(config, precision, Parameters, map);
        else if (precision == Precision.Float32)
            graph = new DecoderGraph<Float32Storage>(shard, Parameters, map, checkpoint);
        else if (Execution.NativeBfloat16 ?? Bfloat16.IsNative)
            graph = new DecoderGraph<Bfloat16Storage>(shard, Parameters, map, checkpoint);
        else
            graph = new DecoderGraph<RoundedStorage>(shard, Parameters, map, checkpoint);
    }

    /// <summary>A decoder with fresh weights drawn from <paramref name="seed"/> (see <see cref="DecoderInitializer"/>).</summary>
    public static Decoder Fresh(DecoderConfig config, ulong seed, Precision precision = Precision.Float32, DecoderExecution? execution = null, WeightMap? map = null)
    {
        var decoder = new Decoder(config, precision, execution, map);
        if (map is null) DecoderInitializer.Fill(decoder.Parameters, config, seed);
        else WeightStart.Fill(map, decoder.Parameters, seed);
        decoder.ParametersChanged();
        return decoder;
    }

    /// <inheritdoc/>
    public DecoderConfig Config { get; }

    /// <inheritdoc/>
    public FlatParameters Parameters { get; }

    /// <inheritdoc/>
    public WeightMap? Map { get; }

    /// <inheritdoc/>
    public Precision Precision { get; }

    /// <summary>How it computes.</summary>
    public DecoderExecution Execution { get; }

    /// <inheritdoc/>
    public string HeadName => names.Head;

    /// <summary>The part of the model that this decoder is.</summary>
    public DecoderShard Shard => shard;

    /// <summary>What the next pass starts from, on a stage that is not the first; the stage before gives it.</summary>
    public StageInput? Input { get; set; }

    /// <summary>Called whenever <see cref="Hidden"/> has its result: what a loss takes from there on is the head's.</summary>
    public Action? HiddenDone { get; set; }

    /// <inheritdoc/>
    public VocabularyShard? HeadShard => shard.Peers.Size == 1 ? null : new(shard.Peers, shard.FirstRow, shard.Rows, Config.Vocabulary);

    /// <inheritdoc/>
    public Tensor HeadWeight()
    {
        if (plain is not null) return plain.HeadWeight();
        using var scope = NewDisposeScope();
        return FlatParameters.View(graph!.ComputeWeights, Parameters.Layout[HeadName]).narrow(0, 0, shard.Rows).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public DropoutKey? Dropout
    {
        get;
        set
        {
            field = value;
            if (plain is not null) plain.Dropout = value;
        }
    }

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">An id is not in the vocabulary, or the sequences are longer than the context.</exception>
    public Tensor Hidden(ModelInput input)
    {
        ArgumentNullException.ThrowIfNull(input);
        if (input.Tokens.shape[1] > Config.Context) throw new ArgumentException($"{input.Tokens.shape[1]} tokens are more than the context of {Config.Context}");
        if (plain is not null) return plain.Hidden(input);
        using var scope = NewDisposeScope();
        var (shape, ids) = Checked(input, training: is_grad_enabled());
        if (!is_grad_enabled()) return graph!.Forward(shape, ids, Input, null).MoveToOuterDisposeScope();
        // Backward outlives this call and disposes its own handle on the ids.
        var output = HiddenFunction.apply(anchor, new HiddenCall(graph!, shape, ids.alias().DetachFromDisposeScope(), Input)).MoveToOuterDisposeScope();
        HiddenDone?.Invoke();
        return output;
    }

    /// <summary>The forward pass of a stage that is not the last.</summary>
    public StagePass ForwardStage(ModelInput input)
    {
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        ArgumentNullException.ThrowIfNull(input);
        var (shape, ids) = Checked(input, training: true);
        var kept = new KeptForBackward();
        var output = graph!.Forward(shape, ids.alias().DetachFromDisposeScope(), Input, kept);
        return new StagePass(output.DetachFromDisposeScope(), kept, Input);
    }

    /// <summary>The backward pass of a stage that is not the last; the gradient of what the stage started from is in its <see cref="StageInput"/>.</summary>
    /// <param name="pass">The forward pass.</param>
    /// <param name="gradient">Gradient of its output, float32 <c>[tokens, width]</c>.</param>
    public void BackwardStage(StagePass pass, Tensor gradient)
    {
        ArgumentNullException.ThrowIfNull(pass);
        graph!.Backward(pass.Kept, gradient, pass.Input);
    }

    private (SequenceShape Shape, Tensor Ids) Checked(ModelInput input, bool training)
    {
        var (rows, time) = ((int)input.Tokens.shape[0], (int)input.Tokens.shape[1]);
        var ids = input.Tokens.to_type(ScalarType.Int64).contiguous();
        CheckIds(ids);
        return (new SequenceShape(new AttentionShape(rows, time, shard.Heads, shard.KeyValueHeads, Config.HeadWidth), Starts(input.Segments, rows, time), Mask(Config, Dropout, time, training)), ids);
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
        Map?.Dispose();
    }

    /// <summary>The masks of a call; null where nothing is dropped.</summary>
    /// <exception cref="InvalidOperationException">The model drops and nobody said by what.</exception>
    internal static DropoutMask? Mask(DecoderConfig config, DropoutKey? key, int time, bool training)
    {
        if (config.Dropout == 0 || !training) return null;
        return new DropoutMask(config.Dropout, key ?? throw new InvalidOperationException("a model with dropout trains on samples: set its Dropout key first"), time, config.Width);
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
