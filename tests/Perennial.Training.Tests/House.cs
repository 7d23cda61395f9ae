using Perennial.Core.Recipes;
using Perennial.Data;
using Perennial.Models;
using Perennial.Objectives;
using Perennial.Optimization;
using Perennial.Training.Runs;

namespace Perennial.Training.Tests;

/// <summary>What recipes of these tests may name.</summary>
internal static class House
{
    /// <summary>Every component of the house.</summary>
    public static ComponentRegistry Components { get; } = ComponentRegistry.Scan(
        [typeof(DataOptions).Assembly, typeof(Decoder).Assembly, typeof(CausalObjective).Assembly, typeof(AdamW).Assembly, typeof(TrainingRun).Assembly]);

    /// <summary>With those of the tests.</summary>
    public static ComponentRegistry WithTests { get; } = ComponentRegistry.Scan(
        [typeof(DataOptions).Assembly, typeof(Decoder).Assembly, typeof(CausalObjective).Assembly, typeof(AdamW).Assembly, typeof(TrainingRun).Assembly, typeof(PoisonPractice).Assembly]);
}
