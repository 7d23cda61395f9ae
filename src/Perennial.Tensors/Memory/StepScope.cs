using TorchSharp;
using static TorchSharp.torch;

namespace Perennial.Tensors;

/// <summary>
/// The life of one step's tensors: everything made on this thread inside the scope is disposed at its end, save what was kept.
/// Scopes nest (one a micro-batch inside one a step).
/// </summary>
public sealed class StepScope : IDisposable
{
    private readonly DisposeScope scope = NewDisposeScope();
    private readonly long before = TensorCensus.LiveOnThisThread;

    /// <summary>Tensors made inside this scope that are still alive, kept ones included: the step's peak when asked before the end.</summary>
    public long Live => TensorCensus.LiveOnThisThread - before;

    /// <summary>Lets a tensor outlive this scope: it now belongs to the outer scope or, without one, to the caller.</summary>
    /// <returns>The same tensor.</returns>
    public Tensor Keep(Tensor tensor)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        return scope.MoveToOuter(tensor);
    }

    /// <summary>Lets a tensor outlive every scope: the caller disposes it.</summary>
    /// <returns>The same tensor.</returns>
    public Tensor Own(Tensor tensor)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        return scope.Detach(tensor);
    }

    /// <summary>Disposes what was made inside and not kept.</summary>
    public void Dispose() => scope.Dispose();
}
