using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Training.State;

/// <summary>A copy of a training state in memory of its own, made and taken back by plain copies. Buffers are reused from copy to copy.</summary>
public sealed class StateSnapshot : IDisposable
{
    private readonly Tensor parameters;
    private readonly IReadOnlyList<StateSlot> slots;

    /// <summary>Buffers for copies of a state; holds nothing until <see cref="Take"/>.</summary>
    public StateSnapshot(TrainingState state)
    {
        ArgumentNullException.ThrowIfNull(state);
        using var scope = NewDisposeScope();
        parameters = empty_like(state.Parameters.Values).DetachFromDisposeScope();
        slots = [.. state.Slots.Select(slot => slot with { Values = empty_like(slot.Values).DetachFromDisposeScope() })];
        Layout = state.Parameters.Layout;
    }

    /// <summary>Index of the parameters.</summary>
    public FlatLayout Layout { get; }

    /// <summary>The copied parameters, <c>[length]</c>.</summary>
    public Tensor Parameters => parameters;

    /// <summary>The copied slots.</summary>
    public IReadOnlyList<StateSlot> Slots => slots;

    /// <summary>The copied progress; null until <see cref="Take"/>.</summary>
    public Progress? Progress { get; private set; }

    /// <summary>Copies the state in.</summary>
    public void Take(TrainingState state)
    {
        ArgumentNullException.ThrowIfNull(state);
        using var _ = no_grad();
        parameters.copy_(state.Parameters.Values);
        foreach (var (mine, theirs) in slots.Zip(state.Slots)) mine.Values.copy_(theirs.Values);
        Progress = state.Progress;
    }

    /// <summary>Copies the state back out.</summary>
    /// <exception cref="InvalidOperationException">Nothing was taken.</exception>
    public void Restore(TrainingState state)
    {
        ArgumentNullException.ThrowIfNull(state);
        if (Progress is null) throw new InvalidOperationException("no snapshot was taken");
        using var _ = no_grad();
        state.Parameters.Values.copy_(parameters);
        foreach (var (mine, theirs) in slots.Zip(state.Slots)) theirs.Values.copy_(mine.Values);
        state.Progress = Progress;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        parameters.Dispose();
        foreach (var slot in slots) slot.Values.Dispose();
    }
}
