using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using Perennial.Data.Mixtures;
using Perennial.Tensors;

namespace Perennial.Training.State;

/// <summary>
/// Everything that bends the path of training, as one value: the flat parameters, every flat slot, and <see cref="Progress"/>.
/// Equal states of one recipe have equal futures.
/// </summary>
/// <param name="Parameters">Flat master weights (their gradients are not state: every step makes them anew).</param>
/// <param name="Slots">Optimizer slots, then practice slots, in the recipe's order.</param>
public sealed record TrainingState(FlatParameters Parameters, IReadOnlyList<StateSlot> Slots)
{
    /// <summary>The small part.</summary>
    public Progress Progress { get; set; } = new();
}

/// <summary>The small part of the training state: counters, cursor, policy.</summary>
public sealed record Progress
{
    /// <summary>Committed steps.</summary>
    public long Step { get; init; }

    /// <summary>Tokens of committed steps.</summary>
    public long Tokens { get; init; }

    /// <summary>Position in the sample stream of the next step's first sample.</summary>
    public long Cursor { get; init; }

    /// <summary>Number of the stage that the next step belongs to.</summary>
    public int Stage { get; init; }

    /// <summary>Finished steps when that stage began.</summary>
    public long StageStart { get; init; }

    /// <summary>Samples that each finished stage read of its stream.</summary>
    public IReadOnlyList<long> Finished { get; init; } = [];

    /// <summary>Planned steps of the stage when it began; 0 before its first step.</summary>
    public long FirstTotal { get; init; }

    /// <summary>Steps of the stage at which it was finished and then extended.</summary>
    public IReadOnlyList<long> EarlierTotals { get; init; } = [];

    /// <summary>What is gone back to when the present branch ends; null outside branches.</summary>
    public Trunk? Trunk { get; init; }

    /// <summary>First positions of batches that are left out when the cursor reaches them.</summary>
    public IReadOnlyList<long> LeftOut { get; init; } = [];

    /// <summary>Factor on the learning rate that the spike policy has come to.</summary>
    public double RateFactor { get; init; } = 1;

    /// <summary>Committed steps when the optimizer last began anew: its own count of steps (bias correction) starts there.</summary>
    public long OptimizerStart { get; init; }

    /// <summary>Refused steps since the last committed one.</summary>
    public int Refusals { get; init; }

    /// <summary>Losses of recent committed steps, oldest first.</summary>
    public IReadOnlyList<double> Losses { get; init; } = [];

    /// <summary>Gradient norms of recent committed steps, oldest first.</summary>
    public IReadOnlyList<double> Norms { get; init; } = [];

    /// <summary>Loss of the last committed step, nats a target; NaN before the first.</summary>
    public double LastLoss { get; init; } = double.NaN;

    /// <summary>What the mixture decided so far; null where the recipe's weights hold all along.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public MixtureRecord? Mixture { get; init; }

    /// <summary>What the mixtures of finished stages decided, by stage; null while none decided anything.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public IReadOnlyList<MixtureRecord?>? EarlierMixtures { get; init; }

    /// <summary>Small state of each practice, by its place in the recipe; null where it has none.</summary>
    public IReadOnlyList<JsonObject?> Practices { get; init; } = [];
}

/// <summary>The small part of the state that a branch left; parameters and slots are in slots of their own.</summary>
/// <param name="RateFactor">Factor on the learning rate.</param>
/// <param name="OptimizerStart">Step from which the optimizer counted.</param>
/// <param name="Practices">Small state of each practice.</param>
public sealed record Trunk(double RateFactor, long OptimizerStart, IReadOnlyList<JsonObject?> Practices);
