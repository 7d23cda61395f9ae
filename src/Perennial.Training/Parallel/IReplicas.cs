using TorchSharp;

namespace Perennial.Training.Parallel;

/// <summary>What the processes of a step agree on.</summary>
/// <param name="Loss">Sum of their losses.</param>
/// <param name="Stop">Whether any of them was asked to stop.</param>
/// <param name="Regroup">Whether any of them knows of a newer membership.</param>
public readonly record struct StepAgreement(double Loss, bool Stop, bool Regroup);

/// <summary>The processes that take every step together, each on its own rows of the batch, each with the whole state.</summary>
internal interface IReplicas : IDisposable
{
    /// <summary>Whether this process writes the run folder.</summary>
    bool IsLeader { get; }

    /// <summary>The membership's number.</summary>
    long Epoch { get; }

    /// <summary>The rows of a step's batch that each process computes, in rank order: contiguous, every row once.</summary>
    IReadOnlyList<Range> Shares(int rows);

    /// <summary>This process's place among <see cref="Shares"/>.</summary>
    int Rank { get; }

    /// <summary>Adds losses and flat gradients up over all processes; everyone ends with the same bits.</summary>
    /// <exception cref="Resilience.Groups.CommunicatorException">A process was lost; gradients hold nothing of use, the state is untouched.</exception>
    StepAgreement Exchange(double loss, torch.Tensor gradients, bool stop);

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

    public IReadOnlyList<Range> Shares(int rows) => [0..rows];

    public StepAgreement Exchange(double loss, torch.Tensor gradients, bool stop) => new(loss, stop, false);

    public void Await()
    {
    }

    public void Dispose()
    {
    }
}
