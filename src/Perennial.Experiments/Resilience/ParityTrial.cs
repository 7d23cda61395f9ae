using System.ComponentModel.DataAnnotations;
using Perennial.Core;
using Perennial.Experiments.Measured;
using Perennial.Resilience.Coding;

namespace Perennial.Experiments.Resilience;

/// <summary>Options of <see cref="ParityTrial"/>.</summary>
public sealed record ParityTrialOptions
{
    /// <summary>Mebibytes of a chunk.</summary>
    [Range(1, 1024)]
    public int Mebibytes { get; init; } = 32;

    /// <summary>Rounds.</summary>
    [Range(1, 100)]
    public int Rounds { get; init; } = 7;
}

/// <summary>How fast parity is computed on one core, against the machine's memory copy in the same rounds (paper 02, reproduction 4).</summary>
[Component("parity-trial")]
public sealed class ParityTrial(ParityTrialOptions options) : IExperiment
{
    /// <inheritdoc/>
    public ExperimentOutcome Measure(ExperimentContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        var lines = ParityBench.Run(new ParityBenchOptions { ChunkBytes = (long)options.Mebibytes << 20, Rounds = options.Rounds, Threads = [1], Codes = [(4, 1), (4, 2)] });
        double Share(string name) => lines.First(line => line.Name.StartsWith(name, StringComparison.Ordinal)).OfCopy;
        return new()
        {
            Measures = new Dictionary<string, double>
            {
                ["xor-of-copy"] = Share("xor"), ["reed-solomon-of-copy"] = Share("reed-solomon"), ["rebuild-of-copy"] = Share("rebuild"),
                ["copy-bytes-per-second"] = lines[0].MovedBytesPerSecond,
            },
        };
    }
}
