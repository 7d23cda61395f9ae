using Perennial.Models;
using Perennial.Optimization;
using Perennial.Training.Parallel.Policies;
using TorchSharp;

namespace Perennial.Training.Parallel;

/// <summary>What the processes of a step agree on.</summary>
/// <param name="Loss">Sum of their losses.</param>
/// <param name="Stop">Whether any of them was asked to stop.</param>
/// <param name="Regroup">Whether any of them knows of a newer membership.</param>
/// <param name="Snapshot">Whether all of them can take part in a snapshot of the step.</param>
public readonly record struct StepAgreement(double Loss, bool Stop, bool Regroup, bool Snapshot);

/// <summary>What one process brings to a step.</summary>
/// <param name="Loss">Its part of the loss; ignored with exact sums.</param>
/// <param name="Gradients">Flat gradients; with exact sums they are written, not read.</param>
/// <param name="Exact">Exact sums, where the recipe wants them.</param>
/// <param name="Buckets">The gradient's stretches, all of which have left; null where nobody adds them up.</param>
/// <param name="Rows">Rows it computed.</param>
/// <param name="Seconds">How long that took.</param>
internal readonly record struct StepWork(double Loss, torch.Tensor Gradients, ExactSums? Exact, GradientBuckets? Buckets, int Rows, double Seconds);

/// <summary>The processes that take every step together, each on its own rows of the batch, each with the whole state.</summary>
internal interface IReplicas : IDisposable
{
    /// <summary>Whether this process writes the run folder.</summary>
    bool IsLeader { get; }

    /// <summary>The membership's number.</summary>
    long Epoch { get; }

    /// <summary>The rows of a step's batch that each process computes.</summary>
    StepShares Shares(int rows);

    /// <summary>This process's place among <see cref="Shares"/>.</summary>
    int Rank { get; }

    /// <summary>Whether <see cref="Reduce"/> adds gradients up.</summary>
    bool AddsUp { get; }

    /// <summary>Adds a stretch of the flat gradient (or of its exact sums) up over the processes. Called on a thread of its own while other stretches are computed, by everyone in the same order.</summary>
    /// <exception cref="Resilience.Groups.CommunicatorException">A process was lost.</exception>
    void Reduce(torch.Tensor gradients, Range64 range, ExactSums? exact);

    /// <summary>Adds losses up over all processes and waits until the gradients are; everyone ends with the same bits.</summary>
    /// <exception cref="Resilience.Groups.CommunicatorException">A process was lost; gradients hold nothing of use, the state is untouched.</exception>
    StepAgreement Exchange(StepWork work, bool stop);

    /// <summary>The leader's values, on everyone; others give values of the same number, which do not count.</summary>
    /// <exception cref="Resilience.Groups.CommunicatorException">A process was lost.</exception>
    double[] Agree(double[] mine);

    /// <summary>Norm of the gradient of the whole model, after <see cref="Exchange"/>; the same bits everywhere.</summary>
    /// <exception cref="Resilience.Groups.CommunicatorException">A process was lost.</exception>
    GradientNorm Norm(torch.Tensor gradients) => GradientNorm.Of(gradients);

    /// <summary>The optimizer has moved what is moved here: brings the model up to date.</summary>
    /// <exception cref="Resilience.Groups.CommunicatorException">A process was lost; weights are of two steps.</exception>
    void Moved(ILanguageModel model) => model.ParametersChanged();

    /// <summary>Returns once every process is here.</summary>
    /// <exception cref="Resilience.Groups.CommunicatorException">A process was lost.</exception>
    void Await();
}

/// <summary>One process alone.</summary>
internal sealed class SoloReplica : IReplicas
{
    public bool IsLeader => true;

    public long Epoch => 0;

    public int Rank => 0;

    public bool AddsUp => false;

    public StepShares Shares(int rows) => StepShares.Whole(rows);

    public void Reduce(torch.Tensor gradients, Range64 range, ExactSums? exact)
    {
    }

    public StepAgreement Exchange(StepWork work, bool stop) => new(work.Exact?.Read(work.Gradients) ?? work.Loss, stop, false, true);

    public double[] Agree(double[] mine) => mine;

    public void Await()
    {
    }

    public void Dispose()
    {
    }
}
