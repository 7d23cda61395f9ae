using static TorchSharp.torch;

namespace Perennial.Tensors;

/// <summary>Element type that matrix products compute in. Master weights, gradients and optimizer slots are always float32.</summary>
public enum Precision
{
    /// <summary>float32 everywhere.</summary>
    Float32,

    /// <summary>bfloat16 weights and activations, float32 master weights and gradients; rounding to nearest even, nothing stochastic.</summary>
    Bfloat16,
}

/// <summary>
/// All parameters of a model as views into one float32 buffer and all their gradients as views into a second
/// (design, idea A). Adjacent entries may be read as one tensor, so a fused weight (q, k, v) costs nothing.
/// </summary>
public sealed class FlatParameters : IDisposable
{
    /// <summary>Makes zeroed buffers for a layout.</summary>
    public FlatParameters(FlatLayout layout)
    {
        ArgumentNullException.ThrowIfNull(layout);
        Layout = layout;
        using var scope = NewDisposeScope();
        Values = zeros(layout.Length, ScalarType.Float32).MoveToOuterDisposeScope().DetachFromDisposeScope();
        Gradients = zeros(layout.Length, ScalarType.Float32).MoveToOuterDisposeScope().DetachFromDisposeScope();
    }

    /// <summary>The index.</summary>
    public FlatLayout Layout { get; }

    /// <summary>Float32 master weights, <c>[length]</c>.</summary>
    public Tensor Values { get; }

    /// <summary>Float32 gradients, <c>[length]</c>; the sum over the step's micro-batches.</summary>
    public Tensor Gradients { get; }

    /// <summary>A view of one parameter in its own shape; dispose it, the buffer stays.</summary>
    public Tensor Value(string name) => View(Values, Layout[name]);

    /// <summary>A view of one parameter's gradient in its own shape; dispose it, the buffer stays.</summary>
    public Tensor Gradient(string name) => View(Gradients, Layout[name]);

    /// <summary>A view of an entry inside any buffer with this layout (an optimizer slot, an average).</summary>
    public static Tensor View(Tensor buffer, FlatEntry entry)
    {
        ArgumentNullException.ThrowIfNull(buffer);
        ArgumentNullException.ThrowIfNull(entry);
        using var slice = buffer.narrow(0, entry.Offset, entry.Length);
        return slice.view([.. entry.Shape]);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Values.Dispose();
        Gradients.Dispose();
    }
}
