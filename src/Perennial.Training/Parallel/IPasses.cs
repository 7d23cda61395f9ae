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
    /// <returns>The sum of the losses computed here; 0 on a stage that computes none.</returns>
    double Run(IReadOnlyList<TokenBatch> pieces, double normalizer, Action<TokenBatch> before);
}

/// <summary>One micro-batch after another through the whole model (or all of its layers, where tensor peers have parts of them).</summary>
/// <param name="objective">The objective.</param>
/// <param name="model">The model.</param>
/// <param name="exact">Takes the gradient of each piece, where sums are exact; the flat gradient then ends without any.</param>
internal sealed class PlainPasses(IObjective objective, ILanguageModel model, ExactSums? exact = null) : IPasses
{
    public double Run(IReadOnlyList<TokenBatch> pieces, double normalizer, Action<TokenBatch> before)
    {
        var sum = 0.0;
        foreach (var piece in pieces)
        {
            using var scope = NewDisposeScope();
            before(piece);
            var loss = objective.Loss(model, piece, normalizer);
            loss.backward();
            var part = loss.item<float>();
            sum += part;
            if (exact is null) continue;
            model.Parameters.CompleteGradients();
            exact.Add(model.Parameters.Gradients, part);
            model.Parameters.ClearGradients();
        }
        return sum;
    }
}
