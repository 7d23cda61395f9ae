using Perennial.Core;
using Perennial.Data;
using Perennial.Models;
using Perennial.Objectives;
using Perennial.Optimization;

namespace Perennial.Training.Recipes;

/// <summary>A recipe: everything that decides a run. The record is the YAML; a key that nothing reads is an error.</summary>
public sealed record Recipe
{
    /// <summary>Name of the run; its folder is <c>runs/NAME</c> unless <c>--run</c> says otherwise.</summary>
    public string Name { get; init; } = "run";

    /// <summary>Key of every random draw of the run.</summary>
    public ulong Seed { get; init; } = 1337;

    /// <summary>Where text comes from and how it becomes samples.</summary>
    public required DataOptions Data { get; init; }

    /// <summary>The model.</summary>
    public required ComponentSpec<IModelArchitecture> Model { get; init; }

    /// <summary>What the matrices of the model's blocks are made of while they are trained.</summary>
    public ComponentSpec<IParameterization> Parameterization { get; init; } = new("dense", typeof(DenseParameterization), null);

    /// <summary>What is learned from a batch.</summary>
    public ComponentSpec<IObjective> Objective { get; init; } = new("causal", typeof(CausalObjective), null);

    /// <summary>How parameters move.</summary>
    public ComponentSpec<IOptimizer> Optimizer { get; init; } = new("adamw", typeof(AdamW), new AdamWOptions());

    /// <summary>The learning rate's shape over the run.</summary>
    public ComponentSpec<ISchedule> Schedule { get; init; } = new("wsd", typeof(WsdSchedule), new WsdScheduleOptions());

    /// <summary>How much, how many at once, how precisely.</summary>
    public TrainingOptions Training { get; init; } = new();

    /// <summary>
    /// Stages of a continual run, one after the other over one training state; none for an ordinary run. <c>data.sources</c> may then be left to
    /// the stages (a tokenizer that is trained here learns from the text of all stages), and <c>training.tokens</c> too.
    /// </summary>
    public IReadOnlyList<StageOptions> Stages { get; init; } = [];

    /// <summary>Hooks into the loop, in order.</summary>
    public IReadOnlyList<ComponentSpec<IPractice>> Practices { get; init; } = [];

    /// <summary>How processes share the work (<c>launch</c>); without it every process has the whole model and takes rows of each batch, however many they are.</summary>
    public ParallelOptions? Parallel { get; init; }

    /// <summary>Snapshots and checkpoints.</summary>
    public ResilienceOptions Resilience { get; init; } = new();

    /// <summary>What is measured while training.</summary>
    public EvaluationOptions Evaluation { get; init; } = new();
}
