using Perennial.Core;

namespace Perennial.Training.Practices;

/// <summary>Scores the raw weights on held-out text at every evaluation point. Every run has it; a recipe need not name it.</summary>
[Component("evaluate")]
public sealed class EvaluatePractice : Practice, IPartwisePractice
{
    /// <inheritdoc/>
    public override void AtInterval(PracticeContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        context.Services.Evaluate("raw");
    }
}
