using Perennial.Core;

namespace Perennial.Models;

/// <summary>Every matrix is a parameter itself. A matrix of m·n numbers takes 4·mn bytes of weight, 4·mn of gradient and, with AdamW, 8·mn of moments.</summary>
[Component("dense")]
public sealed class DenseParameterization : IParameterization
{
    /// <inheritdoc/>
    public WeightForm Form => WeightForm.Plain;
}
