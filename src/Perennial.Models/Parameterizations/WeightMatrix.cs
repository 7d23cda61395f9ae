using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Models;

/// <summary>One matrix that is not a parameter itself: where its parts lie.</summary>
public sealed class WeightMatrix
{
    /// <summary>The matrix as a Hugging Face checkpoint has it: <c>[out, in]</c>, GPT-2's <c>[in, out]</c>.</summary>
    public required FlatEntry Plain { get; init; }

    /// <summary>Its place among the entries of the plain layout: the key of its random draws.</summary>
    public required int Index { get; init; }

    /// <summary>Whether it is stored as <c>[in, out]</c>.</summary>
    public required bool InputFirst { get; init; }

    /// <summary>Its dense part among the frozen ones; null for none.</summary>
    public FlatEntry? Frozen { get; init; }

    /// <summary>The parameter A, <c>[r, in]</c>; null for none.</summary>
    public FlatEntry? A { get; init; }

    /// <summary>The parameter B, <c>[out, r]</c>; null for none.</summary>
    public FlatEntry? B { get; init; }

    /// <summary>The factor before B·A.</summary>
    public double Scale { get; init; }

    /// <summary>The parameter with the sparse part's values; null for none.</summary>
    public FlatEntry? Values { get; init; }

    /// <summary>Their places in the stored matrix; null for none.</summary>
    public SparseSupport? Support { get; init; }

    /// <summary>Rows as stored.</summary>
    public long Rows => Plain.Shape[0];

    /// <summary>Columns as stored.</summary>
    public long Columns => Plain.Shape[1];

    /// <summary>Width of what it multiplies.</summary>
    public long Inputs => InputFirst ? Rows : Columns;

    /// <summary>Width of what it gives.</summary>
    public long Outputs => InputFirst ? Columns : Rows;

    /// <summary>The left factor of the stored matrix, <c>[rows, r]</c>: B, or Aᵀ where inputs come first. A view into <paramref name="buffer"/>.</summary>
    internal Tensor Left(Tensor buffer) => InputFirst ? FlatParameters.View(buffer, A!).t() : FlatParameters.View(buffer, B!);

    /// <summary>The right factor, <c>[r, columns]</c>: A, or Bᵀ where inputs come first.</summary>
    internal Tensor Right(Tensor buffer) => InputFirst ? FlatParameters.View(buffer, B!).t() : FlatParameters.View(buffer, A!);
}
