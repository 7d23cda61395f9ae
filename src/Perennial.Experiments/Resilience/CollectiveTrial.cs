using System.ComponentModel.DataAnnotations;
using System.Text.Json.Nodes;
using Perennial.Core;
using Perennial.Experiments.Measured;
using Perennial.Experiments.Runs;

namespace Perennial.Experiments.Resilience;

/// <summary>Options of <see cref="CollectiveTrial"/>.</summary>
public sealed record CollectiveTrialOptions
{
    /// <summary>Processes.</summary>
    [Range(2, 64)]
    public int Workers { get; init; } = 4;

    /// <summary>Buckets are this many times the size at which latency and transfer take equally long (paper 11 §2).</summary>
    [Range(1.0, 100.0)]
    public double Buckets { get; init; } = 4;
}

/// <summary>
/// Collectives between real processes: how well time = a + S/B fits, and whether buckets of four times the half-bandwidth size reach most of the
/// bandwidth (paper 11, reproduction 5).
/// </summary>
[Component("collective-trial")]
public sealed class CollectiveTrial(CollectiveTrialOptions options) : IExperiment
{
    /// <inheritdoc/>
    public ExperimentOutcome Measure(ExperimentContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        var result = context.Program.Run(["bench", "collectives", "--workers", $"{options.Workers}", "--json"], TimeSpan.FromMinutes(5), context.Cancellation);
        if (result.ExitCode != 0) throw PerennialException.Failed($"bench collectives ended with {result.ExitCode}: {string.Join(" | ", result.Errors.TakeLast(2))}");
        var lines = result.Output.Select(line => JsonNode.Parse(line) as JsonObject).OfType<JsonObject>().ToList();
        var timings = lines.Where(line => (string?)line["event"] == "bench" && (string?)line["operation"] == "all-reduce").Select(line => (Bytes: (double)line["bytes"]!, Seconds: (double)line["median_seconds"]!)).OrderBy(line => line.Bytes).ToList();
        var fits = lines.Where(line => (string?)line["event"] == "fit").ToDictionary(line => (string)line["operation"]!, line => (Latency: (double)line["latency_seconds"]!, Bandwidth: (double)line["bytes_per_second"]!, Error: (double)line["error"]!));
        var fit = fits["all-reduce"];
        var half = fit.Latency * fit.Bandwidth;
        // The first measured size that is large enough, and the best that any size reaches.
        var bucket = timings.First(timing => timing.Bytes >= options.Buckets * half || timing == timings[^1]);
        var best = timings.Max(timing => timing.Bytes / timing.Seconds);
        var measures = fits.ToDictionary(pair => $"{pair.Key}-error", pair => pair.Value.Error);
        measures["worst-error"] = fits.Values.Max(one => one.Error);
        measures["all-reduce-latency"] = fit.Latency;
        measures["all-reduce-bytes-per-second"] = fit.Bandwidth;
        measures["half-bandwidth-bytes"] = half;
        measures["bucket-bytes"] = bucket.Bytes;
        measures["bucket-share"] = bucket.Bytes / bucket.Seconds / best;
        return new()
        {
            Measures = measures,
            Curves = [new($"All-reduce between {options.Workers} processes", "log₁₀ of bytes", "log₁₀ of seconds", [.. timings.Select(timing => new CurvePoint(Math.Log10(timing.Bytes), Math.Log10(timing.Seconds)))])],
        };
    }
}
