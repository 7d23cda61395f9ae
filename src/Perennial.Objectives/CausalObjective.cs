using Perennial.Core;
using Perennial.Data;
using Perennial.Models;
using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Objectives;

/// <summary>Next-token prediction: cross-entropy of every target that is not ignored, in nats.</summary>
[Component("causal")]
public sealed class CausalObjective : IObjective, IVocabularyParallel
{
    /// <inheritdoc/>
    public Tensor Loss(ILanguageModel model, TokenBatch batch, double normalizer)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(batch);
        // What backward needs lives in the caller's scope, which also holds the loss.
        var hidden = model.Hidden(Input(batch));
        var rounds = model.Precision == Precision.Bfloat16 && hidden.dtype == ScalarType.Float32;
        return FusedHeadLoss.apply(hidden, new FusedHeadCall(
            model.Parameters, model.HeadName, model.HeadWeight().detach(), tensor(batch.Targets), normalizer, rounds, model.Config.TiedHead, model.HeadShard));
    }

    /// <summary>A batch as the model sees it.</summary>
    public static ModelInput Input(TokenBatch batch)
    {
        ArgumentNullException.ThrowIfNull(batch);
        var segments = batch.Segments is null ? null : tensor(Array.ConvertAll(batch.Segments, number => (long)number), batch.Rows, batch.Time);
        return new ModelInput(tensor(batch.Inputs, batch.Rows, batch.Time), segments);
    }

    /// <inheritdoc/>
    public long Targets(TokenBatch batch)
    {
        ArgumentNullException.ThrowIfNull(batch);
        return batch.Targets.LongCount(target => target != TokenBatch.Ignored);
    }
}
