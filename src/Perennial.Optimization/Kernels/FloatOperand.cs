using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Optimization;

/// <summary>A matrix with its shorter side first, as an operand.</summary>
internal sealed class FloatOperand : IDisposable
{
    /// <summary>Undefined content.</summary>
    public FloatOperand(ScalarType type, long rows, long columns)
    {
        Stored = HugePages.Empty(type, rows, columns);
        using var scope = NewDisposeScope();
        Turned = Stored.t().DetachFromDisposeScope();
        var (wide, tall) = rows <= columns ? (Stored, Turned) : (Turned, Stored);
        (Rows, Tails) = SymmetricMatrix.Views(wide, tall, SymmetricMatrix.StripOf(type, wide.shape[0]));
    }

    /// <summary>As given, <c>[rows, columns]</c>.</summary>
    public Tensor Stored { get; }

    /// <summary>Its transpose.</summary>
    public Tensor Turned { get; }

    /// <summary>Strips of X.</summary>
    public Tensor[] Rows { get; }

    /// <summary>What Xᵀ contributes to each.</summary>
    public Tensor[] Tails { get; }

    /// <summary>This ← P·X.</summary>
    public void Become(SymmetricMatrix factor, FloatOperand operand)
    {
        if (Stored.shape[0] <= Stored.shape[1]) Stored.addmm_(factor.Values, operand.Stored, 0, 1);
        else Stored.addmm_(operand.Stored, factor.Values, 0, 1);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var tensor in (Tensor[])[.. Rows, .. Tails, Turned, Stored]) tensor.Dispose();
    }
}
