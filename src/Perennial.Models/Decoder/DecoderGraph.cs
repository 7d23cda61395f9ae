using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Models;

/// <summary>A decoder's computation, whatever its storage.</summary>
internal interface IDecoderGraph : IDisposable
{
    /// <summary>The weights that products read, laid out as the parameters' matrices are.</summary>
    Tensor ComputeWeights { get; }

    /// <summary>Takes changed master weights over.</summary>
    void ParametersChanged();

    /// <summary>
    /// Final hidden states <c>[batch, time, width]</c>, or, where the head is in a later stage, the stream, float32 <c>[tokens, width]</c>;
    /// with <paramref name="kept"/>, what backward needs is put there.
    /// </summary>
    /// <param name="shape">Sizes.</param>
    /// <param name="ids">Token ids.</param>
    /// <param name="input">The stream from the stage before; null where embeddings are looked up here.</param>
    /// <param name="kept">Filled for backward.</param>
    Tensor Forward(SequenceShape shape, Tensor ids, StageInput? input, KeptForBackward? kept);

    /// <summary>Adds every parameter's gradient to the flat buffer, from the gradient of what forward gave; the stream's own goes to <paramref name="input"/>.</summary>
    void Backward(KeptForBackward kept, Tensor gradient, StageInput? input);
}

/// <summary>What one forward pass keeps for its backward pass.</summary>
internal sealed class KeptForBackward
{
    public SequenceShape? Shape { get; set; }

    public Tensor? Ids { get; set; }

    public List<BlockActivations> Blocks { get; } = [];

    public Activation? Last { get; set; }

    public Activation? LastStatistics { get; set; }

    /// <summary>What went into the head's projection; null without one.</summary>
    public Activation? Normed { get; set; }

    /// <summary>Embeddings as they went into their projection; null without one.</summary>
    public Activation? Projected { get; set; }
}

/// <summary>The whole decoder, forward and backward written out.</summary>
/// <typeparam name="T">Storage of products and their operands.</typeparam>
internal sealed unsafe class DecoderGraph<T> : IDecoderGraph
    where T : struct, IStorage
{
    private readonly DecoderConfig config;
    private readonly DecoderShard shard;
    private readonly FlatParameters parameters;
    private readonly WeightMap? map;
    private readonly DecoderNames names;
    private readonly DecoderBlock<T>[] blocks;
    private readonly NormLayer<T>? finalNorm;
    private readonly LinearLayer<T>? embeddingProjection, headProjection;
    private readonly LayerWindows<T> windows;
    private readonly ActivationPool pool;
    private readonly Tensor? cosines, sines, positionIds;
    private readonly Tensor? frozen;
    private readonly TransientWeights<T>? transient;
    private readonly bool checkpoint;

    public DecoderGraph(DecoderShard shard, FlatParameters parameters, WeightMap? map, bool checkpoint)
    {
        (config, this.shard, this.parameters, this.map, this.checkpoint) = (shard.Local, shard, parameters, map, checkpoint);
        names = new DecoderNames(config);
        var type = T.Size == 2 ? ScalarType.BFloat16 : ScalarType.Float32;
        pool = new ActivationPool(type);
        var matrices = parameters.Layout.Entries.TakeWhile(entry => entry.Shape.Count > 1).Sum(entry => entry.Length);
        ComputeWeights = T.Rounds ? HugePages.Empty(type, matrices) : parameters.Values;
        if (map?.Frozen is { } parts) frozen = T.Rounds ? HugePages.Empty(type, parts.NumberOfElements) : parts;
        if (map?.Form.Sparse is not null) transient = new TransientWeights<T>(map);
        if (config.Family == ModelFamily.Gpt2)
            positionIds = arange(config.Context, ScalarType.Int64).DetachFromDisposeScope();
        else
            (cosines, sines) = Detached(RotaryTable.Make(config.Context, config.HeadWidth, config.RopeTheta));
        blocks = [.. Enumerable.Range(shard.FirstLayer, shard.EndLayer - shard.FirstLayer).Select(layer => new DecoderBlock<T>(config, parameters, Linear, layer, pool, cosines, sines, shard.Peers))];
        if (map?.Form.EmbeddingProjection == true)
        {
            embeddingProjection = new LinearLayer<T>(parameters, ComputeWeights, [WeightMap.EmbeddingProjection], [], inputFirst: false);
            headProjection = new LinearLayer<T>(parameters, ComputeWeights, [WeightMap.HeadProjection], [], inputFirst: false);
        }
        if (shard.HoldsHead) finalNorm = new NormLayer<T>(parameters, names.FinalNorm, config.NormEpsilon);
        windows = new LayerWindows<T>(shard, parameters, ComputeWeights);
        ParametersChanged();

        static (Tensor, Tensor) Detached((Tensor A, Tensor B) pair) => (pair.A.DetachFromDisposeScope(), pair.B.DetachFromDisposeScope());
    }

    /// <inheritdoc/>
    public Tensor ComputeWeights { get; }

    /// <summary>Whether this graph's kernels, which work on eight numbers at a time and know GELU in its tanh form, fit a configuration.</summary>
    public static bool Fits(DecoderConfig config) =>
        !config.ExactGelu && config.Width % 8 == 0 && config.Intermediate % 8 == 0 && config.HeadWidth % ProductTile.Columns == 0;

    /// <inheritdoc/>
    public void ParametersChanged()
    {
        // What lives elsewhere is rounded when it is fetched.
        if (!T.Rounds || shard.Window is not null) return;
        using var matrices = parameters.Values.narrow(0, 0, ComputeWeights.NumberOfElements);
        Bfloat16.Copy<T>(matrices, ComputeWeights);
        if (frozen is not null) Bfloat16.Copy<T>(map!.Frozen!, frozen);
    }

    /// <inheritdoc/>
    public Tensor Forward(SequenceShape shape, Tensor ids, StageInput? input, KeptForBackward? kept)
    {
        var (tokens, width) = (shape.Tokens, config.Width);
        var stream = new Pending(pool.Exact(tokens, width), null, null);
        if (input is null)
        {
            Embed(shape, ids, stream.Stream, kept);
            shape.Dropout?.Forward<Float32Storage>(DropoutMask.Embedding, tokens, stream.Stream.Floats, null);
        }
        else stream.Stream.Tensor.copy_(input.Stream);
        for (var layer = 0; layer < blocks.Length; layer++)
        {
            var state = new BlockActivations();
            var (previous, isFirst) = (stream.Stream, stream.Added is null);
            windows.Open(windows.Layers[layer]);
            stream = blocks[layer].Forward(shape, stream, state);
            windows.Close(windows.Layers[layer]);
            if (kept is null || checkpoint)
            {
                // Nobody looks back at the stream in the middle of the last block; this block's input is kept by a checkpoint.
                if (!isFirst) pool.Return(previous);
                state.Return(pool, keepInput: kept is not null, keepMiddle: true);
                state.Middle = null;
            }
            kept?.Blocks.Add(state);
        }
        if (kept is not null) (kept.Shape, kept.Ids) = (shape, ids);
        if (finalNorm is null) return Leave(stream, kept is null || checkpoint);
        var hidden = empty(shape.Attention.Batch, shape.Attention.Time, width, dtype: T.Size == 2 ? ScalarType.BFloat16 : ScalarType.Float32);
        windows.Open(windows.Head);
        var (last, statistics) = (pool.Exact(tokens, width), pool.Exact(tokens, 2));
        var normed = headProjection is null ? null : pool.Compute(tokens, width);
        finalNorm.Forward(stream.Stream, stream.Added, stream.Bias, last, normed is null ? Memory(hidden) : normed.Memory, statistics);
        if (normed is not null)
        {
            using var rows = hidden.view(tokens, width);
            headProjection!.Forward(normed, new Activation(rows, (nint)Memory(hidden)));
            if (kept is null) pool.Return(normed);
            else kept.Normed = normed;
        }
        pool.Return(stream.Added);
        if (kept is null || checkpoint) pool.Return(stream.Stream);
        if (kept is not null)
            (kept.Last, kept.LastStatistics) = (last, statistics);
        else
        {
            pool.Return(last);
            pool.Return(statistics);
        }
        return hidden;
    }

    /// <inheritdoc/>
    public void Backward(KeptForBackward kept, Tensor gradient, StageInput? input)
    {
        using var noGradient = no_grad();
        var (shape, tokens, width) = (kept.Shape!, kept.Shape!.Tokens, config.Width);
        var dx = pool.Exact(tokens, width);
        var operand = T.Rounds ? pool.Compute(tokens, width) : dx;
        using (var dense = gradient.contiguous())
            if (finalNorm is null) Enter(dense, dx, operand);
            else if (headProjection is not null) LeaveHead(dense, kept, dx, operand, tokens);
            else finalNorm.Backward(Memory(dense), kept.Last!, kept.LastStatistics!, dx, replace: true, operand, pool);
        windows.Collect(windows.Head);
        pool.Return(kept.Last);
        pool.Return(kept.LastStatistics);
        for (var layer = blocks.Length - 1; layer >= 0; layer--)
        {
            windows.Open(windows.Layers[layer]);
            if (checkpoint) blocks[layer].Recompute(shape, kept.Blocks[layer]);
            blocks[layer].Backward(shape, kept.Blocks[layer], dx, operand);
            windows.Collect(windows.Layers[layer]);
            kept.Blocks[layer].Return(pool, keepInput: false);
        }
        if (input is not null) input.Gradient = dx.Tensor.clone().DetachFromDisposeScope();
        else
        {
            shape.Dropout?.Backward<Float32Storage>(DropoutMask.Embedding, tokens, dx.Floats, dx.Floats);
            if (embeddingProjection is not null) LeaveEmbedding(kept.Projected!, dx, operand, tokens);
            AddBack(names.Embedding, kept.Ids!, shard.FirstRow, shard.Rows, dx, tokens);
            if (positionIds is not null)
                using (var rows = positionIds.narrow(0, 0, shape.Attention.Time).expand(shape.Attention.Batch, -1).contiguous())
                    AddBack(names.Positions, rows, 0, config.Context, dx, tokens);
            windows.Collect(windows.Embedding);
        }
        if (T.Rounds) pool.Return(operand);
        pool.Return(dx);
        kept.Blocks.Clear();
        kept.Ids!.Dispose();
    }

    public void Dispose()
    {
        foreach (var block in blocks) block.Dispose();
        finalNorm?.Dispose();
        embeddingProjection?.Dispose();
        headProjection?.Dispose();
        pool.Dispose();
        cosines?.Dispose();
        sines?.Dispose();
        positionIds?.Dispose();
        transient?.Dispose();
        if (!T.Rounds) return;
        ComputeWeights.Dispose();
        frozen?.Dispose();
    }

    private ILinear<T> Linear(int layer, params Projection[] projections)
    {
        string[] weights = [.. projections.Select(p => names.Weight(layer, p))], biases = [.. projections.Select(p => names.Bias(layer, p))];
        if (map?.Find(weights[0]) is null) return new LinearLayer<T>(parameters, ComputeWeights, weights, biases, config.Family == ModelFamily.Gpt2);
        WeightMatrix[] matrices = [.. weights.Select(name => map.Find(name)!)];
        return transient is null
            ? new LowRankLayer<T>(parameters, ComputeWeights, map, frozen, matrices, biases, pool)
            : new TransientLayer<T>(parameters, matrices, biases, transient);
    }

    /// <summary>Embeddings of the tokens; each process has some rows, positions are the first one's.</summary>
    private void Embed(SequenceShape shape, Tensor ids, Activation stream, KeptForBackward? kept)
    {
        windows.Open(windows.Embedding);
        using var embedding = parameters.Value(names.Embedding);
        using var positions = positionIds is null || shard.Peers.Rank > 0 ? null : parameters.Value(names.Positions);
        EmbeddingRows.Look(shape.Tokens, shape.Attention.Time, config.Width, (long*)TensorMemory.Address<long>(ids), shard.FirstRow, shard.Rows, Floats(embedding), Floats(positions), stream.Floats);
        windows.Close(windows.Embedding);
        shard.Peers.Sum(stream.Tensor);
        if (embeddingProjection is null) return;
        var (operand, projected) = (pool.Compute(shape.Tokens, config.Width), pool.Compute(shape.Tokens, config.Width));
        operand.Tensor.copy_(stream.Tensor);
        embeddingProjection.Forward(operand, projected);
        stream.Tensor.copy_(projected.Tensor);
        pool.Return(projected);
        if (kept is null) pool.Return(operand);
        else kept.Projected = operand;
    }

    /// <summary>Backward through the head's projection and the last norm.</summary>
    private void LeaveHead(Tensor gradient, KeptForBackward kept, Activation dx, Activation operand, long tokens)
    {
        using var rows = gradient.view(tokens, config.Width);
        var (given, dh) = (new Activation(rows, (nint)Memory(gradient)), pool.Compute(tokens, config.Width));
        headProjection!.BackwardInput(given, dh);
        headProjection.BackwardWeight(kept.Normed!, given);
        finalNorm!.Backward(dh.Memory, kept.Last!, kept.LastStatistics!, dx, replace: true, operand, pool);
        pool.Return(dh);
        pool.Return(kept.Normed);
    }

    /// <summary>Backward through the embedding's projection: <paramref name="dx"/> becomes the gradient of the rows that were looked up.</summary>
    private void LeaveEmbedding(Activation rows, Activation dx, Activation operand, long tokens)
    {
        var before = pool.Compute(tokens, config.Width);
        // Dropout may have changed dx since it was last an operand.
        if (T.Rounds) Bfloat16.Copy<T>(dx.Tensor, operand.Tensor);
        embeddingProjection!.BackwardInput(operand, before);
        embeddingProjection.BackwardWeight(rows, operand);
        dx.Tensor.copy_(before.Tensor);
        pool.Return(before);
        pool.Return(rows);
    }

    /// <summary>The stream as the next stage takes it over: its last addition made, in the order in which a norm makes it.</summary>
    private Tensor Leave(Pending stream, bool isLast)
    {
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        var output = stream.Stream.Tensor.clone();
        if (stream.Added is not null) output.add_(stream.Added.Tensor);
        if (stream.Bias is not null) output.add_(TensorMemory.Borrow((nint)stream.Bias, [config.Width], ScalarType.Float32));
        pool.Return(stream.Added);
        if (isLast) pool.Return(stream.Stream);
        return output.MoveToOuterDisposeScope();
    }

    /// <summary>The stream's gradient from the next stage, and the same as a product's operand.</summary>
    private static void Enter(Tensor gradient, Activation dx, Activation operand)
    {
        dx.Tensor.copy_(gradient);
        if (T.Rounds) Bfloat16.Copy<T>(dx.Tensor, operand.Tensor);
    }

    private void AddBack(string name, Tensor ids, long firstRow, long rows, Activation dx, long tokens)
    {
        using var target = parameters.Gradient(name);
        if (parameters.GradientScale(name) == 0) target.zero_();
        EmbeddingRows.AddBack(tokens, config.Width, (long*)TensorMemory.Address<long>(ids), firstRow, rows, dx.Floats, Floats(target));
        parameters.Written(name);
    }

    private static float* Floats(Tensor? tensor) => tensor is null ? null : (float*)TensorMemory.Address<float>(tensor);

    private static void* Memory(Tensor tensor) => (void*)(T.Size == 2 ? TensorMemory.Address<ushort>(tensor) : TensorMemory.Address<float>(tensor));
}
