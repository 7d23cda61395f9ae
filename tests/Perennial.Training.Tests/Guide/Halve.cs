using Perennial.Core;

namespace Perennial.Training.Practices;

/// <summary>Halves every gradient.</summary>
[Component("halve")]
public sealed class Halve : Practice
{
    /// <inheritdoc/>
    public override void AfterBackward(PracticeContext context) => context.Model.Parameters.Gradients.mul_(0.5);
}
