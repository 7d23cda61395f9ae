using System.ComponentModel.DataAnnotations;
using Perennial.Core;
using Perennial.Experiments.Measured;
using Perennial.Models;
using Perennial.Resilience.Simulation;
using Perennial.Training.Bench;

namespace Perennial.Experiments.Resilience;

/// <summary>Options of <see cref="SimulatedLosses"/>.</summary>
public sealed record SimulatedLossesOptions
{
    /// <summary>Blocks of the decoder whose costs are measured.</summary>
    [Range(4, 1024)]
    public int Layers { get; init; } = 32;

    /// <summary>Its width; a multiple of 64.</summary>
    [Range(64, 4096)]
    public int Width { get; init; } = 256;

    /// <summary>D, data-parallel paths.</summary>
    [Range(2, 64)]
    public int Data { get; init; } = 4;

    /// <summary>P, pipeline stages.</summary>
    [Range(2, 64)]
    public int Stages { get; init; } = 4;

    /// <summary>M, micro-batches of a path and step.</summary>
    [Range(1, 1024)]
    public int Waves { get; init; } = 32;

    /// <summary>b, samples of a micro-batch.</summary>
    [Range(1, 1024)]
    public int Samples { get; init; } = 3;
}

/// <summary>
/// Throughput after losses of a hybrid-parallel job, worked out from layer costs that are measured here: the elastic policy's over dropping replicas and
/// over rerouting, in three cases.
/// </summary>
[Component("simulated-losses")]
public sealed class SimulatedLosses(SimulatedLossesOptions options) : IExperiment
{
    /// <inheritdoc/>
    public ExperimentOutcome Measure(ExperimentContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        var decoder = new LlamaArchitecture(new LlamaOptions { Layers = options.Layers, Width = options.Width, Heads = options.Width / 64, Context = 128 }).Describe(1024, 0);
        var costs = LayerCosts.Measure(decoder, rows: 4);
        var cases = LossCases.Run(new SimulationOptions
        {
            Accelerators = [], Job = new JobOptions { Stages = options.Stages, Waves = options.Waves, Samples = options.Samples, LayerCosts = costs.Of(options.Layers) }, Cases = new LossCaseOptions { Data = options.Data },
        });
        var measures = new Dictionary<string, double> { ["head-over-block"] = costs.Ends / costs.Block };
        foreach (var one in cases)
        {
            var name = one.Name.Replace(' ', '-');
            foreach (var other in new[] { "drop-replica", "reroute" })
                measures[$"{name}-over-{other}"] = one.Ratio("elastic", other) ?? throw PerennialException.Failed($"case '{one.Name}': a policy cannot go on");
            measures[$"{name}-throughput"] = one.Entries.First(entry => entry.Policy == "elastic").Throughput;
        }
        return new() { Measures = measures };
    }
}
