using Perennial.Data;
using Perennial.Models;
using Perennial.Objectives;
using static TorchSharp.torch;

namespace Perennial.Training.Parallel;

/// <summary>Forward and backward over the micro-batches of a step.</summary>
internal interface IPasses
{
    /// <summary>Adds the gradients of all pieces to the model's flat gradient.</summary>
    /// <param name="pieces">This process's micro-batches, in order.</param>
    /// <param name="normalizer">What summed losses are divided by.</param>
    /// <param name="before">Called before the forward pass of each piece.</param>
    /// <param name="last">Called before the backward pass of the last piece, which makes the gradient whole.</param>
    /// <returns>The sum of the losses computed here; 0 on a stage that computes none.</returns>
    double Run(IReadOnlyList<TokenBatch> pieces, double normalizer, Action<TokenBatch> before, Action last);
}

/// <summary>One micro-batch after another through the whole model (or all of its layers, where tensor peers have parts of them).</summary>
/// <param name="objective">The objective of the present stage.</param>
/// <param name="model">The model.</param>
/// <param name="exact">Takes the gradient of each piece but the last, where sums are exact; the flat gradient is then the last one's.</param>
/// <param name="clock">Learns where the head begins and ends; null where nobody asks.</param>
internal sealed class PlainPasses(Func<IObjective> objective, ILanguageModel model, ExactSums? exact = null, StageClock? clock = null) : IPasses
{
    public double Run(IReadOnlyList<TokenBatch> pieces, double normalizer, Action<TokenBatch> before, Action last)
    {
        var sum = 0.0;
        for (var i = 0; i < pieces.Count; i++)
        {
            using var scope = NewDisposeScope();
            before(pieces[i]);
            var loss = objective().Loss(model, pieces[i], normalizer);
            clock?.LossDone();
            var isLast = i == pieces.Count - 1;
            if (isLast) last();
            loss.backward();
            var part = loss.item<float>();
            sum += part;
            exact?.AddLoss(part);
            if (exact is null || isLast) continue;
            model.Parameters.CompleteGradients();
            exact.Add(model.Parameters.Gradients);
            model.Parameters.ClearGradients();
        }
        return sum;
    }
}
