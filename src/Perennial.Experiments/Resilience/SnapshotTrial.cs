using System.ComponentModel.DataAnnotations;
using System.Text.Json.Nodes;
using Perennial.Core;
using Perennial.Experiments.Measured;

namespace Perennial.Experiments.Resilience;

/// <summary>Options of <see cref="SnapshotTrial"/>.</summary>
public sealed record SnapshotTrialOptions
{
    /// <summary>Rounds; each times every way of keeping the state once.</summary>
    [Range(1, 100)]
    public int Rounds { get; init; } = 4;

    /// <summary>Sequences of 256 tokens a step.</summary>
    [Range(1, 1024)]
    public int Rows { get; init; } = 8;

    /// <summary>Pairs of short steps, with a snapshot and without, that tell what one costs.</summary>
    [Range(4, 10_000)]
    public int Pairs { get; init; } = 24;
}

/// <summary>
/// What keeping the state after every step costs, in memory outside the trainer, on disk beside the next step, and on disk before it: <c>bench snapshot</c>
/// of a 25 M-parameter model (paper 02, reproduction 1). Long steps differ by more than a snapshot costs, so its cost is that beside short ones, as a share of
/// a long one.
/// </summary>
[Component("snapshot-trial")]
public sealed class SnapshotTrial(SnapshotTrialOptions options) : IExperiment
{
    /// <inheritdoc/>
    public ExperimentOutcome Measure(ExperimentContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        var result = context.Program.Run(["bench", "snapshot", "--json", "--rounds", $"{options.Rounds}", "--rows", $"{options.Rows}", "--pairs", $"{options.Pairs}"], TimeSpan.FromMinutes(15), context.Cancellation);
        if (result.ExitCode != 0) throw PerennialException.Failed($"bench snapshot ended with {result.ExitCode}: {string.Join(" | ", result.Errors.TakeLast(2))}");
        var lines = result.Output.Select(line => JsonNode.Parse(line) as JsonObject).OfType<JsonObject>().ToLookup(line => (string?)line["event"]);
        var modes = lines["bench"].ToDictionary(line => (string)line["mode"]!);
        var measures = new Dictionary<string, double>
        {
            ["bytes"] = (double)modes["memory"]["bytes"]!, ["step-seconds"] = (double)modes["nothing"]["step_seconds"]!, ["memory-slowdown"] = (double)lines["snapshot_cost"].Single()["slowdown"]!,
        };
        foreach (var mode in new[] { "asynchronous-disk", "synchronous-disk" }) measures[$"{mode}-slowdown"] = (double)modes[mode]["slowdown"]!;
        foreach (var mode in new[] { "memory", "asynchronous-disk", "synchronous-disk" }) measures[$"{mode}-wait"] = (double)modes[mode]["wait_seconds"]!;
        return new() { Measures = measures };
    }
}
