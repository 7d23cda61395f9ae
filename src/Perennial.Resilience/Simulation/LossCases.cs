using System.ComponentModel.DataAnnotations;
using System.Globalization;
using Perennial.Core;
using Perennial.Resilience.Partition;

namespace Perennial.Resilience.Simulation;

/// <summary>Given losses of a small job, whose steady state is worked out exactly instead of simulated.</summary>
public sealed record LossCaseOptions
{
    /// <summary>D, data-parallel paths; the rest comes from <c>job</c>.</summary>
    [Range(1, 100_000)]
    public int Data { get; init; } = 4;

    /// <summary>
    /// Name of a case to its lost ranks, each <c>path.stage</c>, counted from 0. Left out: one loss, two losses in different stages and paths, two
    /// in one stage.
    /// </summary>
    public IReadOnlyDictionary<string, IReadOnlyList<string>> Losses { get; init; } = new Dictionary<string, IReadOnlyList<string>>(StringComparer.Ordinal)
    {
        ["one rank"] = ["0.0"],
        ["two stages"] = ["0.0", "1.1"],
        ["one stage twice"] = ["0.0", "1.0"],
    };

    /// <summary>Speed factors of ranks that are slower (or faster) than the rest in every case, as <c>path.stage: 0.5</c>.</summary>
    public IReadOnlyDictionary<string, double> Speeds { get; init; } = new Dictionary<string, double>(StringComparer.Ordinal);

    internal IEnumerable<string> ProblemsFor(JobOptions job)
    {
        foreach (var (rank, speed) in Speeds)
        {
            if (Read(rank) is not { } read || read.Path >= Data || read.Stage >= job.Stages) yield return $"'speeds' must name ranks as path.stage, below {Data}.{job.Stages}; found {rank}";
            else if (!(speed > 0 && double.IsFinite(speed))) yield return $"the speed of {rank} must be above 0; found {speed.ToString(CultureInfo.InvariantCulture)}";
        }
        foreach (var (name, ranks) in Losses)
        {
            var read = ranks.Select(Read).ToList();
            if (read.Any(rank => rank is null || rank.Value.Path >= Data || rank.Value.Stage >= job.Stages))
                yield return $"'{name}' must list ranks as path.stage, below {Data}.{job.Stages}; found {string.Join(", ", ranks)}";
            else if (read.Distinct().Count() != read.Count) yield return $"'{name}' names a rank twice";
        }
    }

    internal static (int Path, int Stage)? Read(string rank) =>
        rank.Split('.') is [var path, var stage] && int.TryParse(path, NumberStyles.None, CultureInfo.InvariantCulture, out var p) && int.TryParse(stage, NumberStyles.None, CultureInfo.InvariantCulture, out var s) ? (p, s) : null;
}

/// <summary>One policy in one case.</summary>
/// <param name="Policy">The policy.</param>
/// <param name="StepFactor">Step time over the whole job's; null when it cannot go on.</param>
/// <param name="Throughput">Its inverse: share of the whole throughput; 0 when it cannot go on.</param>
/// <param name="PerLive">Throughput over the share of ranks that live.</param>
/// <param name="Way">What was done.</param>
public sealed record LossCaseEntry(string Policy, double? StepFactor, double Throughput, double PerLive, string Way);

/// <summary>The steady state after given losses.</summary>
/// <param name="Name">The case.</param>
/// <param name="Lost">Ranks lost.</param>
/// <param name="Entries">One a policy.</param>
public sealed record LossCaseResult(string Name, int Lost, IReadOnlyList<LossCaseEntry> Entries)
{
    /// <summary>Throughput of one policy over another's; null when either cannot go on.</summary>
    public double? Ratio(string policy, string other) =>
        Entries.First(entry => entry.Policy == other).StepFactor / Entries.First(entry => entry.Policy == policy).StepFactor;
}

/// <summary>Works out the cases of a recipe.</summary>
public static class LossCases
{
    /// <summary>Every case under every policy.</summary>
    public static IReadOnlyList<LossCaseResult> Run(SimulationOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        if (options.Cases is not { } cases) return [];
        var shape = options.Shape(cases.Data);
        var speeds = cases.Speeds.ToDictionary(pair => LossCaseOptions.Read(pair.Key)!.Value, pair => pair.Value);
        return [.. cases.Losses.Select(losses =>
        {
            var who = Occupancy.Without(shape, [.. losses.Value.Select(rank => LossCaseOptions.Read(rank)!.Value)], speeds);
            return new LossCaseResult(losses.Key, losses.Value.Count, [.. options.Policies.Select(policy =>
            {
                var step = policy.Create().Step(shape, who);
                var factor = step?.Seconds / shape.WholeStepSeconds;
                var throughput = factor is { } slower ? 1 / slower : 0;
                return new LossCaseEntry(policy.Kind, factor, throughput, throughput * shape.Ranks / who.Live, step?.Way ?? "waits for nodes");
            })]);
        })];
    }
}
