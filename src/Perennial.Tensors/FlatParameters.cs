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
    /// <param name="layout">The index.</param>
    /// <param name="sharing">Which gradients share memory; null where each has its own.</param>
    public FlatParameters(FlatLayout layout, GradientSharing? sharing = null)
        : this(layout, HugePages.Zeros(layout.Length), HugePages.Zeros(sharing?.Length ?? layout.Length), sharing)
    {
    }

    private FlatParameters(FlatLayout layout, Tensor values, Tensor gradients, GradientSharing? sharing = null)
    {
        (Layout, Values, Gradients, Sharing) = (layout, values, gradients, sharing);
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

    /// <summary>Float32 gradients, <c>[length]</c>; the sum over the step's micro-batches. With <see cref="Sharing"/> only the memory that they take turns in.</summary>
    public Tensor Gradients { get; }

    /// <summary>Which gradients share memory, so that the whole gradient never exists; null where each has its own.</summary>
    public GradientSharing? Sharing { get; }

    /// <summary>Told which entries' gradients have just become whole. Under <see cref="Sharing"/> they must be used up before the call returns.</summary>
    public Action<IReadOnlyList<FlatEntry>>? GradientsWritten { get; set; }

    /// <summary>Whether something was written of an entry's gradient since <see cref="ClearGradients"/>.</summary>
    public bool HasGradient(string name) => !stale[positions[name]];

    /// <summary>A hand-written backward says that some entries got all of their gradient.</summary>
    public void Written(params ReadOnlySpan<string> names)
    {
        if (GradientsWritten is not { } told || names.Length == 0) return;
        var entries = new FlatEntry[names.Length];
        for (var i = 0; i < names.Length; i++) entries[i] = Layout[names[i]];
        told(entries);
    }

    /// <summary>A view of one parameter in its own shape; dispose it, the buffer stays.</summary>
    public Tensor Value(string name) => View(Values, Layout[name]);

    /// <summary>A view of one parameter's gradient in its own shape; dispose it, the buffer stays.</summary>
    public Tensor Gradient(string name)
    {
        var entry = Layout[name];
        return View(Gradients, Sharing is null ? entry : entry with { Offset = GradientOffset(entry) });
    }

    /// <summary>Where an entry's gradient begins in <see cref="Gradients"/>.</summary>
    public long GradientOffset(FlatEntry entry)
    {
        ArgumentNullException.ThrowIfNull(entry);
        return Sharing is null ? entry.Offset : Sharing.Offsets[entry.Name];
    }

    /// <summary>Adjacent entries' gradients as one tensor, as <see cref="Join(Tensor, ReadOnlySpan{string})"/> does for any buffer.</summary>
    /// <exception cref="ArgumentException">The gradients are not neighbours, or their inner dimensions differ.</exception>
    public Tensor JoinGradients(params ReadOnlySpan<string> names)
    {
        if (Sharing is null) return Join(Gradients, names);
        var first = Layout[names[0]];
        long rows = 0, length = 0;
        foreach (var name in names)
        {
            var entry = Layout[name];
            if (GradientOffset(entry) != GradientOffset(first) + length || !entry.Shape.Skip(1).SequenceEqual(first.Shape.Skip(1)))
                throw new ArgumentException($"the gradient of '{name}' does not follow that of '{first.Name}' with the same inner shape");
            rows += entry.Shape[0];
            length += entry.Length;
        }
        using var slice = Gradients.narrow(0, GradientOffset(first), length);
        return slice.view([rows, .. first.Shape.Skip(1)]);
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

    /// <summary>Ends the step's accumulation: entries that nobody wrote become zero (and, under <see cref="Sharing"/>, are told of one by one).</summary>
    public void CompleteGradients()
    {
        for (var position = 0; position < stale.Length; position++)
        {
            if (!stale[position]) continue;
            Zero(position);
            if (Sharing is not null) GradientsWritten?.Invoke([Layout.Entries[position]]);
        }
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
        using var gradient = Gradient(Layout.Entries[position].Name);
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
