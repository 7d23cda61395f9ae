using Perennial.Models;
using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Objectives;

/// <summary>One evaluation of the fused head.</summary>
/// <param name="Parameters">Where the head's gradient goes.</param>
/// <param name="HeadName">The head's entry there.</param>
/// <param name="Head">The unembedding, <c>[vocabulary, width]</c>, in the hidden states' storage.</param>
/// <param name="Targets">Next-token ids, int64 <c>[tokens]</c>.</param>
/// <param name="Normalizer">What the summed loss is divided by.</param>
/// <param name="Rounds">Whether operands that lie in float32 must be rounded to bfloat16.</param>
/// <param name="IsTied">Whether the embedding adds to the head's gradient too.</param>
/// <param name="Shard">Which rows <paramref name="Head"/> has, where other processes hold the rest.</param>
internal sealed record FusedHeadCall(FlatParameters Parameters, string HeadName, Tensor Head, Tensor Targets, double Normalizer, bool Rounds, bool IsTied, VocabularyShard? Shard = null)
{
    /// <summary>The hidden states, for a backward pass whose own gradient is not 1.</summary>
    public Tensor? Hidden { get; set; }

    /// <summary>Gradient of the hidden states for a loss whose own gradient is 1.</summary>
    public Tensor? HiddenGradient { get; set; }
}

/// <summary>
/// Unembedding and cross-entropy in one, a chunk of tokens at a time: the full logits never exist, and while a chunk's
/// logits are at hand both gradients are made from them.
/// </summary>
internal static class FusedHead
{
    /// <summary>Bytes that a chunk's logits may take, a part of the last cache …</summary>
    private const long ChunkBytes = 8L << 20;

    /// <summary>… and rows below which the products, which read the whole head once a chunk, would be slow.</summary>
    private const long LeastRows = 128;

    /// <summary>Columns of logits made by one product: with few rows libtorch is faster on narrow pieces.</summary>
    private const int Columns = 2048;

    /// <summary>
    /// The loss. With <paramref name="slope"/> not 0, adds slope · d loss / d head to the flat gradient, and fills
    /// <paramref name="hiddenGradient"/> (may be null) with slope · d loss / d hidden.
    /// </summary>
    /// <param name="hidden">Hidden states, <c>[tokens, width]</c>.</param>
    /// <param name="call">The rest.</param>
    /// <param name="slope">Gradient of the loss itself; 0 for the value alone.</param>
    /// <param name="hiddenGradient">Where the hidden states' gradient goes.</param>
    public static double Run(Tensor hidden, FusedHeadCall call, double slope, Tensor? hiddenGradient)
    {
        if (hidden.dtype == ScalarType.BFloat16) return Run<Bfloat16Storage>(hidden, call, slope, hiddenGradient);
        return call.Rounds ? Run<RoundedStorage>(hidden, call, slope, hiddenGradient) : Run<Float32Storage>(hidden, call, slope, hiddenGradient);
    }

    private static unsafe double Run<T>(Tensor hidden, FusedHeadCall call, double slope, Tensor? hiddenGradient)
        where T : struct, IStorage
    {
        using var scope = NewDisposeScope();
        int tokens = (int)hidden.shape[0], vocabulary = (int)call.Head.shape[0];
        var most = Math.Max(LeastRows, ChunkBytes / ((long)vocabulary * T.Size));
        var chunks = (tokens + most - 1) / most;
        var rows = (int)((tokens + chunks - 1) / chunks);
        var transposed = call.Head.t();
        // Rows begin on cache lines: products into an odd stride are a fifth slower.
        var stride = (vocabulary + 63) / 64 * 64;
        using var buffer = HugePages.Empty(hidden.dtype, rows, stride);
        var headGradient = slope == 0 ? null : HeadGradient(call);
        var keep = slope == 0 ? 1 : call.Parameters.GradientScale(call.HeadName);
        if (keep == 0 && call.Shard is not null) call.Parameters.Gradient(call.HeadName).zero_(); // rows that pad the shard too
        var losses = new double[tokens];
        var targets = (long*)TensorMemory.Address<long>(call.Targets);
        fixed (double* written = losses)
            for (var first = 0; first < tokens; first += rows)
            {
                using var chunkScope = NewDisposeScope();
                var count = Math.Min(rows, tokens - first);
                var chunk = hidden.narrow(0, first, count);
                var logits = buffer.narrow(0, 0, count).narrow(1, 0, vocabulary);
                for (var column = 0; column < vocabulary; column += Columns)
                {
                    using var sliceScope = NewDisposeScope();
                    var width = Math.Min(Columns, vocabulary - column);
                    logits.narrow(1, column, width).addmm_(chunk, transposed.narrow(1, column, width), 0, 1);
                }
                var address = (void*)(T.Size == 2 ? TensorMemory.Address<ushort>(buffer) : TensorMemory.Address<float>(buffer));
                var factor = (float)(slope / call.Normalizer);
                if (call.Shard is { } shard) VocabularyParallelRows<T>.Apply(count, stride, address, targets + first, written + first, factor, slope != 0, shard);
                else CrossEntropyRows<T>.Apply(count, vocabulary, stride, address, targets + first, written + first, factor, slope != 0);
                if (headGradient is null) continue;
                hiddenGradient?.narrow(0, first, count).addmm_(logits, call.Head, 0, 1);
                if (T.Size == sizeof(float)) headGradient.addmm_(logits.t(), chunk, keep, 1);
                else if (keep == 0) headGradient.copy_(mm(logits.t(), chunk));
                else headGradient.add_(mm(logits.t(), chunk));
                keep = 1;
            }
        if (hiddenGradient is not null) call.Shard?.Peers.Sum(hiddenGradient);
        return losses.Sum() / call.Normalizer;
    }

    /// <summary>The flat gradient of the rows that the head has; a shard's entry may be padded beyond them.</summary>
    private static Tensor HeadGradient(FusedHeadCall call) => call.Parameters.Gradient(call.HeadName).narrow(0, 0, call.Head.shape[0]);
}
