using Perennial.Core;

namespace Perennial.Models;

/// <summary>The recipe's <c>parameterization:</c>: what the matrices of a decoder's blocks are made of while it trains.</summary>
[ComponentRole("parameterization")]
public interface IParameterization
{
    /// <summary>The form of the matrices.</summary>
    WeightForm Form { get; }
}
