using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Models;

/// <summary>
/// One block, forward and backward written out: norm, attention, norm, feed-forward, with q, k, v and gate, up as one
/// product each, additions inside the norms and gradients written straight into the flat buffer.
/// </summary>
/// <typeparam name="T">Storage of products and their operands.</typeparam>
internal sealed unsafe class DecoderBlock<T> : IDisposable
    where T : struct, IStorage
{
    private readonly DecoderConfig config;
    private readonly int layer;
    private readonly ActivationPool pool;
    private readonly Tensor? cosines, sines;
    private readonly NormLayer<T> attentionNorm, feedForwardNorm;
    private readonly ILinear<T> queryKeyValue, attentionOut, up, down;
    private readonly ITensorPeers peers;

    public DecoderBlock(DecoderConfig config, FlatParameters parameters, LinearFactory<T> linear, int layer, ActivationPool pool, Tensor? cosines, Tensor? sines, ITensorPeers peers)
    {
        (this.config, this.layer, this.pool, this.cosines, this.sines, this.peers) = (config, layer, pool, cosines, sines, peers);
        var names = new DecoderNames(config);
        var gpt2 = config.Family == ModelFamily.Gpt2;
        attentionNorm = new(parameters, names.AttentionNorm(layer), config.NormEpsilon);
        feedForwardNorm = new(parameters, names.FeedForwardNorm(layer), config.NormEpsilon);
        queryKeyValue = gpt2 ? linear(layer, Projection.QueryKeyValue) : linear(layer, Projection.Query, Projection.Key, Projection.Value);
        attentionOut = linear(layer, Projection.AttentionOut);
        up = gpt2 ? linear(layer, Projection.Up) : linear(layer, Projection.Gate, Projection.Up);
        down = linear(layer, Projection.Down);
    }

    private bool Gated => config.Family != ModelFamily.Gpt2;

    private float* Cosines => cosines is null ? null : (float*)TensorMemory.Address<float>(cosines);

    private float* Sines => sines is null ? null : (float*)TensorMemory.Address<float>(sines);

    /// <summary>The forward pass; fills <paramref name="kept"/> (empty before) and returns the stream with its last addition pending.</summary>
    public Pending Forward(SequenceShape shape, Pending before, BlockActivations kept)
    {
        var tokens = shape.Tokens;
        kept.AttentionStatistics = pool.Exact(tokens, 2);
        kept.AttentionInput = pool.Compute(tokens, config.Width);
        kept.Input = before.Added is null ? before.Stream : pool.Exact(tokens, config.Width);
        attentionNorm.Forward(before.Stream, before.Added, before.Bias, kept.Input, kept.AttentionInput.Memory, kept.AttentionStatistics);
        pool.Return(before.Added);
        ToInner(shape, kept);

        var activated = pool.Compute(tokens, config.Intermediate);
        if (Gated) Activation<T>.SwiGlu(tokens, config.Intermediate, kept.Inner!.Memory, activated.Memory);
        else Activation<T>.Gelu(tokens, config.Intermediate, kept.Inner!.Memory, up.Bias, activated.Memory);
        var added = pool.Compute(tokens, config.Width);
        down.Forward(activated, added);
        peers.Sum(added.Tensor);
        pool.Return(activated);
        return new Pending(kept.Middle!, added, Drop(shape, DropoutMask.FeedForward(layer), added, down.Bias));
    }

    /// <summary>Computes again what was given back after the forward pass, from <see cref="BlockActivations.Input"/>: the same operations, the same bits.</summary>
    public void Recompute(SequenceShape shape, BlockActivations kept)
    {
        kept.AttentionStatistics = pool.Exact(shape.Tokens, 2);
        kept.AttentionInput = pool.Compute(shape.Tokens, config.Width);
        attentionNorm.Forward(kept.Input!, null, null, null, kept.AttentionInput.Memory, kept.AttentionStatistics);
        ToInner(shape, kept);
    }

    /// <summary>
    /// The backward pass: <paramref name="dx"/>, the stream's gradient after the block, becomes the one before it;
    /// <paramref name="operand"/> is the same as a product's operand (the same buffer where nothing is rounded).
    /// </summary>
    public void Backward(SequenceShape shape, BlockActivations kept, Activation dx, Activation operand)
    {
        var tokens = shape.Tokens;
        var slope = pool.Compute(tokens, config.Intermediate);
        var output = Masked(shape, DropoutMask.FeedForward(layer), dx, operand);
        down.BackwardInput(output, slope);
        if (Gated) Activation<T>.SwiGluBackward(tokens, config.Intermediate, kept.Inner!.Memory, slope.Memory);
        else Activation<T>.GeluBackward(tokens, config.Intermediate, kept.Inner!.Memory, up.Bias, slope.Memory);
        down.BackwardWeight(slope, output); // slope has become the activation, Inner its gradient
        pool.Return(slope);
        if (!ReferenceEquals(output, operand)) pool.Return(output);
        var dh = pool.Compute(tokens, config.Width);
        up.BackwardInput(kept.Inner, dh);
        peers.Sum(dh.Tensor);
        up.BackwardWeight(kept.FeedForwardInput!, kept.Inner);
        feedForwardNorm.Backward(dh.Memory, kept.Middle!, kept.FeedForwardStatistics!, dx, replace: false, operand, pool);

        var mixed = pool.Compute(tokens, (long)config.Heads * config.HeadWidth);
        output = Masked(shape, DropoutMask.Attention(layer), dx, operand);
        attentionOut.BackwardInput(output, mixed);
        attentionOut.BackwardWeight(kept.Mixed!, output);
        if (!ReferenceEquals(output, operand)) pool.Return(output);
        var gradient = pool.Compute(tokens, queryKeyValue.Outputs);
        fixed (int* starts = shape.Starts)
            CausalAttention<T>.Backward(shape.Attention, kept.QueryKeyValue!.Memory, starts, kept.Logarithms!.Floats, mixed.Memory, gradient.Memory);
        pool.Return(mixed);
        if (cosines is not null) Rotary<T>.Apply(shape.Attention, gradient.Memory, null, Cosines, Sines, backward: true);
        queryKeyValue.BackwardInput(gradient, dh);
        peers.Sum(dh.Tensor);
        queryKeyValue.BackwardWeight(kept.AttentionInput!, gradient);
        pool.Return(gradient);
        attentionNorm.Backward(dh.Memory, kept.Input!, kept.AttentionStatistics!, dx, replace: false, operand, pool);
        pool.Return(dh);
    }

    public void Dispose()
    {
        attentionNorm.Dispose();
        feedForwardNorm.Dispose();
        queryKeyValue.Dispose();
        attentionOut.Dispose();
        up.Dispose();
        down.Dispose();
    }

    private void ToInner(SequenceShape shape, BlockActivations kept)
    {
        var tokens = shape.Tokens;
        kept.QueryKeyValue = pool.Compute(tokens, queryKeyValue.Outputs);
        queryKeyValue.Forward(kept.AttentionInput!, kept.QueryKeyValue);
        Rotary<T>.Apply(shape.Attention, kept.QueryKeyValue.Memory, queryKeyValue.Bias, Cosines, Sines, backward: false);
        kept.Logarithms = pool.Exact((long)shape.Attention.Batch * config.Heads, shape.Attention.Time);
        kept.Mixed = pool.Compute(tokens, (long)config.Heads * config.HeadWidth);
        fixed (int* starts = shape.Starts)
            CausalAttention<T>.Forward(shape.Attention, kept.QueryKeyValue.Memory, starts, kept.Mixed.Memory, kept.Logarithms.Floats);

        var added = pool.Compute(tokens, config.Width);
        attentionOut.Forward(kept.Mixed, added);
        peers.Sum(added.Tensor);
        var bias = Drop(shape, DropoutMask.Attention(layer), added, attentionOut.Bias);
        kept.Middle = pool.Exact(tokens, config.Width);
        kept.FeedForwardStatistics = pool.Exact(tokens, 2);
        kept.FeedForwardInput = pool.Compute(tokens, config.Width);
        feedForwardNorm.Forward(kept.Input!, added, bias, kept.Middle, kept.FeedForwardInput.Memory, kept.FeedForwardStatistics);
        pool.Return(added);
        kept.Inner = pool.Compute(tokens, up.Outputs);
        up.Forward(kept.FeedForwardInput, kept.Inner);
    }

    /// <summary>Drops of a sub-layer's output, bias included; returns the bias that is left to add.</summary>
    private static float* Drop(SequenceShape shape, int site, Activation added, float* bias)
    {
        if (shape.Dropout is not { } mask) return bias;
        mask.Forward<T>(site, shape.Tokens, added.Memory, bias);
        return null;
    }

    /// <summary>The gradient of a sub-layer's output: the stream's, <paramref name="operand"/>, where nothing was dropped; else a buffer to give back.</summary>
    private Activation Masked(SequenceShape shape, int site, Activation dx, Activation operand)
    {
        if (shape.Dropout is not { } mask) return operand;
        var masked = pool.Compute(shape.Tokens, config.Width);
        mask.Backward<T>(site, shape.Tokens, dx.Floats, masked.Memory);
        return masked;
    }
}
