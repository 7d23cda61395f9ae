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
/// <remarks>
/// Gradients add up over the micro-batches of a step. A step begins with <see cref="ClearGradients"/>, which touches no
/// memory: every entry is stale until its first writer overwrites it. There are two kinds of writers. A hand-written
/// backward asks <see cref="GradientScale"/> and adds its product with that factor on the old content (0 the first time,
/// 1 afterwards). Ordinary autograd works on <see cref="Leaf"/>, whose <c>.grad</c> is a view of <see cref="Gradients"/>;
/// ask for the leaf in every forward pass, for that is when a stale entry is zeroed. After the last backward
/// <see cref="CompleteGradients"/> zeroes the entries that nobody wrote; only then read <see cref="Gradients"/>.
/// A writer that adds without asking is right too if the step began with <c>Gradients.zero_()</c> instead.
/// </remarks>
public sealed class FlatParameters : IDisposable
{
    private readonly bool[] stale;
    private readonly Tensor?[] leaves;
    private readonly Dictionary<string, int> positions;

    /// <summary>Makes zeroed buffers for a layout.</summary>
    public FlatParameters(FlatLayout layout) : this(layout, HugePages.Zeros(layout.Length), HugePages.Zeros(layout.Length))
    {
    }

    private FlatParameters(FlatLayout layout, Tensor values, Tensor gradients)
    {
        (Layout, Values, Gradients) = (layout, values, gradients);
        stale = new bool[layout.Entries.Count];
        leaves = new Tensor?[layout.Entries.Count];
        positions = layout.Entries.Select((entry, index) => (entry.Name, index)).ToDictionary(pair => pair.Name, pair => pair.index, StringComparer.Ordinal);
    }

    /// <summary>Parameters over buffers that exist: a part of others, say. It owns the two tensors, not the memory that views look into.</summary>
    /// <param name="layout">What lies in the buffers.</param>
    /// <param name="values">Float32, contiguous, <c>[length]</c>.</param>
    /// <param name="gradients">The same.</param>
    /// <exception cref="ArgumentException">A buffer has another length than the layout.</exception>
    public static FlatParameters Over(FlatLayout layout, Tensor values, Tensor gradients)
    {
        ArgumentNullException.ThrowIfNull(layout);
        ArgumentNullException.ThrowIfNull(values);
        ArgumentNullException.ThrowIfNull(gradients);
        return values.NumberOfElements == layout.Length && gradients.NumberOfElements == layout.Length
            ? new(layout, values, gradients)
            : throw new ArgumentException($"{layout.Length} elements are laid out over buffers of {values.NumberOfElements} and {gradients.NumberOfElements}");
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

    /// <summary>Where an entry's gradient begins in <see cref="Gradients"/>.</summary>
    public long GradientOffset(FlatEntry entry)
    {
        ArgumentNullException.ThrowIfNull(entry);
        return entry.Offset;
    }

    /// <summary>Begins a step: every gradient counts as zero, and no memory is touched.</summary>
    public void ClearGradients() => Array.Fill(stale, true);

    /// <summary>
    /// What a hand-written backward must multiply the old gradient with before it adds its own: 0 on the first write of a
    /// step, 1 afterwards. Asking is promising to write the whole of these entries.
    /// </summary>
    /// <param name="names">Entries that are written together; they were always written together.</param>
    public float GradientScale(params ReadOnlySpan<string> names)
    {
        var first = false;
        foreach (var name in names)
        {
            var position = positions[name];
            first |= stale[position];
            stale[position] = false;
        }
        return first ? 0 : 1;
    }

    /// <summary>
    /// The parameter as an autograd leaf whose <c>.grad</c> is its view of <see cref="Gradients"/>. Owned here: do not
    /// dispose it. Ask for it in every forward pass.
    /// </summary>
    public Tensor Leaf(string name)
    {
        var position = positions[name];
        if (leaves[position] is not { } leaf)
        {
            using var scope = NewDisposeScope();
            using var _ = no_grad();
            leaf = Value(name).detach().requires_grad_();
            leaf.grad = Gradient(name);
            leaves[position] = leaf.DetachFromDisposeScope();
        }
        if (is_grad_enabled() && stale[position]) Zero(position);
        return leaf;
    }

    /// <summary>Ends the step's accumulation: entries that nobody wrote become zero.</summary>
    public void CompleteGradients()
    {
        for (var position = 0; position < stale.Length; position++)
            if (stale[position]) Zero(position);
    }

    /// <summary>Adjacent entries of <paramref name="buffer"/> as one tensor: rows add up, the other dimensions are shared. Dispose it, the buffer stays.</summary>
    /// <exception cref="ArgumentException">The entries are not neighbours, or their inner dimensions differ.</exception>
    public Tensor Join(Tensor buffer, params ReadOnlySpan<string> names) => Join(Layout, buffer, names);

    /// <summary>As <see cref="Join(Tensor, ReadOnlySpan{string})"/>, in a buffer with a layout of its own.</summary>
    /// <exception cref="ArgumentException">The entries are not neighbours, or their inner dimensions differ.</exception>
    public static Tensor Join(FlatLayout layout, Tensor buffer, params ReadOnlySpan<string> names)
    {
        ArgumentNullException.ThrowIfNull(layout);
        ArgumentNullException.ThrowIfNull(buffer);
        var first = layout[names[0]];
        long rows = 0, length = 0;
        foreach (var name in names)
        {
            var entry = layout[name];
            if (entry.Offset != first.Offset + length || !entry.Shape.Skip(1).SequenceEqual(first.Shape.Skip(1)))
                throw new ArgumentException($"'{name}' does not follow '{first.Name}' with the same inner shape");
            rows += entry.Shape[0];
            length += entry.Length;
        }
        using var slice = buffer.narrow(0, first.Offset, length);
        return slice.view([rows, .. first.Shape.Skip(1)]);
    }

    private void Zero(int position)
    {
        using var _ = no_grad();
        using var gradient = View(Gradients, Layout.Entries[position]);
        gradient.zero_();
        stale[position] = false;
    }

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
        foreach (var leaf in leaves) leaf?.Dispose();
        Values.Dispose();
        Gradients.Dispose();
    }
}
