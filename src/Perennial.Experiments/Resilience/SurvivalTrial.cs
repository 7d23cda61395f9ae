using System.ComponentModel.DataAnnotations;
using Perennial.Core;
using Perennial.Experiments.Measured;
using Perennial.Resilience.Simulation;
using Perennial.Resilience.Survival;

namespace Perennial.Experiments.Resilience;

/// <summary>Options of <see cref="SurvivalTrial"/>.</summary>
public sealed record SurvivalTrialOptions
{
    /// <summary>Nodes.</summary>
    [Range(2, 100_000)]
    public int Nodes { get; init; } = 512;

    /// <summary>Nodes of a parity group.</summary>
    [Range(2, 255)]
    public int Group { get; init; } = 8;

    /// <summary>Losses that a group survives.</summary>
    [Range(1, 16)]
    public int Losses { get; init; } = 1;

    /// <summary>Failures of a node an hour.</summary>
    [Range(1e-9, 1.0)]
    public double FailuresPerHour { get; init; } = 1e-4;

    /// <summary>Shape of a node's Weibull life.</summary>
    [Range(0.2, 5.0)]
    public double Shape { get; init; } = 1;

    /// <summary>Hours that are survived or not.</summary>
    [Range(0.1, 100_000.0)]
    public double Hours { get; init; } = 168;

    /// <summary>Hours until a lost node's group is protected again.</summary>
    [Range(1e-6, 10_000.0)]
    public double RepairHours { get; init; } = 0.1;

    /// <summary>Groups whose survival is drawn, and groups whose life with repair is simulated.</summary>
    [Range(1_000, 100_000_000)]
    public int Trials { get; init; } = 1_000_000;
}

/// <summary>The survival formulas against Monte Carlo: groups of nodes without repair, and the mean time to data loss with repair (paper 02 §6, reproduction 3).</summary>
[Component("survival-trial")]
public sealed class SurvivalTrial(SurvivalTrialOptions options) : IExperiment
{
    // With a repair a thousand times faster than failures a group lives so long that no simulation sees its end: repair is slowed down for the check.
    private const double FailuresInRepair = 0.05;
    private readonly NodeSurvival node = NodeSurvival.Weibull(options.FailuresPerHour, options.Shape);

    /// <inheritdoc/>
    public ExperimentOutcome Measure(ExperimentContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        var random = new RandomStream(context.Seed, 3);
        var lost = 0;
        for (var trial = 0; trial < options.Trials; trial++)
        {
            var dead = 0;
            for (var member = 0; member < options.Group; member++)
                if (random.Uniform() < node.Dead(options.Hours)) dead++;
            if (dead > options.Losses) lost++;
            if (trial % 100_000 == 0) context.Cancellation.ThrowIfCancellationRequested();
        }
        context.Progress.Report(0.5);
        var survived = 1 - lost / (double)options.Trials;
        var formula = SurvivalModel.Group(node, options.Hours, options.Group, options.Losses);
        var repair = FailuresInRepair / (options.Group * options.FailuresPerHour);
        var lives = Math.Max(1_000, options.Trials / 20);
        var life = Enumerable.Range(0, lives).Sum(_ => Life(random, repair)) / lives;
        var mean = SurvivalModel.MeanTimeToLoss(options.FailuresPerHour, repair, options.Group, options.Group, options.Losses);
        return new()
        {
            Measures = new Dictionary<string, double>
            {
                ["survival-error"] = Math.Abs(survived / formula - 1), ["loss-error"] = Math.Abs((1 - survived) / (1 - formula) - 1), ["life-error"] = Math.Abs(life / mean - 1),
                ["without-redundancy"] = Math.Pow(node.Alive(options.Hours), options.Nodes), ["with-parity"] = SurvivalModel.Cluster(node, options.Hours, options.Nodes, options.Group, options.Losses),
                ["mean-hours-to-loss"] = SurvivalModel.MeanTimeToLoss(options.FailuresPerHour, options.RepairHours, options.Nodes, options.Group, options.Losses),
            },
        };
    }

    /// <summary>Hours until more members are lost at once than parity survives; one is repaired at a time, at a constant rate.</summary>
    private double Life(RandomStream random, double repairHours)
    {
        var (hours, lost) = (0.0, 0);
        while (lost <= options.Losses)
        {
            var fails = (options.Group - lost) * options.FailuresPerHour;
            var mends = lost > 0 ? 1 / repairHours : 0;
            hours += random.Exponential() / (fails + mends);
            lost += random.Uniform() * (fails + mends) < fails ? 1 : -1;
        }
        return hours;
    }
}
