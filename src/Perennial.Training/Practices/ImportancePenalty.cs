using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Training.Practices;

/// <summary>The quadratic penalty that EWC, SI and RWalk share: λ/2 · Σ Ω(θ − θ*)², as its gradient λΩ(θ − θ*) on the flat buffers. Its value is not part of the loss that is told.</summary>
internal sealed class ImportancePenalty : IDisposable
{
    private readonly FlatParameters parameters;

    public ImportancePenalty(FlatParameters parameters)
    {
        this.parameters = parameters;
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        Importance = zeros_like(parameters.Values).DetachFromDisposeScope();
        Anchor = parameters.Values.clone().DetachFromDisposeScope();
    }

    /// <summary>Ω, at least 0, <c>[length]</c>.</summary>
    public Tensor Importance { get; }

    /// <summary>θ*, <c>[length]</c>.</summary>
    public Tensor Anchor { get; }

    public IReadOnlyList<StateSlot> Slots(string name) => [new($"{name}.importance", Importance), new($"{name}.anchor", Anchor)];

    /// <summary>Adds the penalty's gradient to the flat gradient.</summary>
    public void AddGradient(double strength)
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        parameters.Gradients.add_(parameters.Values.sub(Anchor).mul_(Importance), alpha: strength);
    }

    public void Dispose()
    {
        Importance.Dispose();
        Anchor.Dispose();
    }
}
