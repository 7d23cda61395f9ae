using Perennial.Core;
using Perennial.Data;
using Perennial.Models;
using static TorchSharp.torch;

namespace Perennial.Objectives;

/// <summary>Next-token prediction: cross-entropy of every target that is not ignored, in nats.</summary>
[Component("causal")]
public sealed class CausalObjective : IObjective
{
    /// <inheritdoc/>
    public Tensor Loss(ILanguageModel model, TokenBatch batch, double normalizer)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(batch);
        using var scope = NewDisposeScope();
        var tokens = tensor(batch.Inputs, batch.Rows, batch.Time);
        var segments = batch.Segments is null ? null : tensor(batch.Segments, batch.Rows, batch.Time).to_type(ScalarType.Int64);
        var hidden = model.Hidden(new ModelInput(tokens, segments));
        var call = new FusedHeadCall
        {
            Parameters = model.Parameters,
            HeadName = model.HeadName,
            Head = model.HeadWeight(),
            Targets = tensor(batch.Targets),
            Normalizer = normalizer,
            ChunkRows = 512,
            Differentiate = is_grad_enabled() && hidden.requires_grad,
        };
        var loss = FusedHeadLoss.apply(hidden, call);
        call.HiddenGradient?.MoveToOuterDisposeScope(); // backward needs it
        return loss.MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public long Targets(TokenBatch batch)
    {
        ArgumentNullException.ThrowIfNull(batch);
        return batch.Targets.LongCount(target => target != TokenBatch.Ignored);
    }
}
