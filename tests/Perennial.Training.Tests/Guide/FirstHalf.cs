using Perennial.Core;
using Perennial.Data;
using Perennial.Models;
using static TorchSharp.torch;

namespace Perennial.Objectives;

/// <summary>Next-token prediction of the first half of every window.</summary>
[Component("first-half")]
public sealed class FirstHalf : IObjective
{
    private readonly CausalObjective causal = new();

    /// <inheritdoc/>
    public Tensor Loss(ILanguageModel model, TokenBatch batch, double normalizer) => causal.Loss(model, Half(batch), normalizer);

    /// <inheritdoc/>
    public long Targets(TokenBatch batch) => causal.Targets(Half(batch));

    private static TokenBatch Half(TokenBatch batch)
    {
        var targets = (long[])batch.Targets.Clone();
        for (var i = 0; i < targets.Length; i++)
        {
            if (i % batch.Time >= batch.Time / 2) targets[i] = TokenBatch.Ignored;
        }
        return batch with { Targets = targets };
    }
}
