using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Training.Loop;

/// <summary>
/// The state that a branch leaves and its end goes back to: copies of parameters and slots, themselves slots of the training state, so that a
/// kill inside a branch loses neither.
/// </summary>
internal sealed class BranchSlots : IDisposable
{
    private readonly IReadOnlyList<(Tensor Own, StateSlot Copy)> pairs;

    public BranchSlots(FlatParameters parameters, IReadOnlyList<StateSlot> slots)
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        StateSlot Copy(StateSlot slot) => slot with { Name = $"trunk.{slot.Name}", Values = zeros_like(slot.Values).DetachFromDisposeScope() };
        pairs = [(parameters.Values, Copy(new StateSlot("parameters", parameters.Values))), .. slots.Select(slot => (slot.Values, Copy(slot)))];
    }

    /// <summary>The copies.</summary>
    public IReadOnlyList<StateSlot> Slots => [.. pairs.Select(pair => pair.Copy)];

    /// <summary>Keeps the present state.</summary>
    public void Leave()
    {
        using var _ = no_grad();
        foreach (var (own, copy) in pairs) copy.Values.copy_(own);
    }

    /// <summary>Takes it back, and empties the copies.</summary>
    public void Return()
    {
        using var _ = no_grad();
        foreach (var (own, copy) in pairs)
        {
            own.copy_(copy.Values);
            copy.Values.zero_();
        }
    }

    public void Dispose()
    {
        foreach (var (_, copy) in pairs) copy.Values.Dispose();
    }
}
