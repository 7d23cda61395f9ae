using System.ComponentModel.DataAnnotations;
using Perennial.Core;
using Perennial.Experiments.Measured;
using Perennial.Models;
using Perennial.Training.Bench;

namespace Perennial.Experiments.Resilience;

/// <summary>Options of <see cref="SizingTrial"/>.</summary>
public sealed record SizingTrialOptions
{
    /// <summary>Blocks of the shape that is asked for.</summary>
    [Range(1, 64)]
    public int Layers { get; init; } = 6;

    /// <summary>Its width; a multiple of 32.</summary>
    [Range(64, 2048)]
    public int Width { get; init; } = 256;

    /// <summary>Its vocabulary.</summary>
    [Range(64, 1_000_000)]
    public int Vocabulary { get; init; } = 2048;

    /// <summary>Its context.</summary>
    [Range(16, 4096)]
    public int Context { get; init; } = 128;

    /// <summary>Samples of a micro-batch.</summary>
    [Range(1, 256)]
    public int Rows { get; init; } = 8;

    /// <summary>Shapes of as many parameters that the advised one is compared with.</summary>
    [Range(1, 20)]
    public int Neighbours { get; init; } = 3;
}

/// <summary>The sizing advisor's first choice against neighbours of equal parameters, by whole training steps (paper 11, reproduction 4).</summary>
[Component("sizing-trial")]
public sealed class SizingTrial(SizingTrialOptions options) : IExperiment
{
    /// <inheritdoc/>
    public ExperimentOutcome Measure(ExperimentContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        var wanted = new LlamaArchitecture(new LlamaOptions { Layers = options.Layers, Width = options.Width, Heads = options.Width / 32, Context = options.Context }).Describe(options.Vocabulary, 0);
        var ranked = new SizingAdvisor(options.Rows * options.Context).Rank(wanted, context.Cancellation);
        context.Progress.Report(0.6);
        // Neighbours by the shape alone, not by what was predicted of them: the nearest in width and depth to what was asked for.
        var others = ranked.Skip(1).OrderBy(shape => Math.Abs(Math.Log((double)shape.Config.Width / options.Width)) + Math.Abs(Math.Log((double)shape.Config.Layers / options.Layers))).Take(options.Neighbours).ToList();
        var speeds = SizingAdvisor.Train([ranked[0].Config, .. others.Select(shape => shape.Config)], options.Rows, 7);
        var median = speeds.Skip(1).Order().ElementAt((speeds.Count - 1) / 2);
        return new()
        {
            Measures = new Dictionary<string, double>
            {
                ["over-neighbours"] = speeds[0] / median, ["advised-tokens-per-second"] = speeds[0], ["neighbour-tokens-per-second"] = median, ["shapes"] = ranked.Count,
                ["prediction-error"] = Math.Abs(ranked[0].TokensPerSecond / others[0].TokensPerSecond / (speeds[0] / speeds[1]) - 1), ["advised-width"] = ranked[0].Config.Width, ["advised-layers"] = ranked[0].Config.Layers,
            },
        };
    }
}
