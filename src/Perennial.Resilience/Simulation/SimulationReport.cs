using System.Text.Json;
using System.Text.Json.Serialization;

namespace Perennial.Resilience.Simulation;

/// <summary>Times to recover, in seconds, over all recoveries of all repetitions; all 0 when there was none.</summary>
/// <param name="Mean">Mean.</param>
/// <param name="Median">Median.</param>
/// <param name="P95">95 % were no longer.</param>
/// <param name="P99">99 % were no longer.</param>
public sealed record RecoveryQuantiles(double Mean, double Median, double P95, double P99)
{
    /// <summary>The quantiles of values, by nearest rank.</summary>
    public static RecoveryQuantiles Of(IReadOnlyCollection<double> values)
    {
        ArgumentNullException.ThrowIfNull(values);
        if (values.Count == 0) return new(0, 0, 0, 0);
        double[] sorted = [.. values.Order()];
        double At(double share) => sorted[Math.Max(0, (int)Math.Ceiling(share * sorted.Length) - 1)];
        return new(sorted.Average(), At(0.5), At(0.95), At(0.99));
    }
}

/// <summary>One policy at one size: means over the repetitions.</summary>
/// <param name="Policy">The policy.</param>
/// <param name="Accelerators">Accelerators given.</param>
/// <param name="Used">Accelerators in the job: whole nodes, whole paths.</param>
/// <param name="Goodput">Steps that count, over those of the same time without faults, stalls and losses.</param>
/// <param name="GoodputError">Standard error of it over the repetitions; 0 for one repetition.</param>
/// <param name="Shares">Where the time went; sums to 1, and <see cref="TimeShares.Useful"/> is the goodput.</param>
/// <param name="Tokens">Tokens trained, by steps that count.</param>
/// <param name="Faults">Faults a run.</param>
/// <param name="Recoveries">Recoveries a run.</param>
/// <param name="FromDisk">Share of recoveries that needed the checkpoint.</param>
/// <param name="RecoverySeconds">Times to recover (MTTR), work done again included.</param>
/// <param name="LostWorkSeconds">Mean seconds of work done again, a recovery.</param>
/// <param name="CheckpointSeconds">Seconds between checkpoints.</param>
public sealed record SimulationPoint(string Policy, long Accelerators, long Used, double Goodput, double GoodputError, TimeShares Shares, double Tokens, double Faults,
    double Recoveries, double FromDisk, RecoveryQuantiles RecoverySeconds, double LostWorkSeconds, double CheckpointSeconds);

/// <summary>One line of a plot.</summary>
/// <param name="Name">The policy.</param>
/// <param name="X">Accelerators.</param>
/// <param name="Y">Goodput, 0 to 1.</param>
public sealed record SimulationSeries(string Name, IReadOnlyList<double> X, IReadOnlyList<double> Y);

/// <summary>What a simulation found. Data only; drawing and printing are the caller's.</summary>
/// <param name="Name">Name of the study.</param>
/// <param name="Seed">Its seed.</param>
/// <param name="Days">Days simulated.</param>
/// <param name="Repetitions">Runs for every point.</param>
/// <param name="Points">Every policy at every size.</param>
/// <param name="Cases">Steady states after given losses.</param>
/// <param name="Attempts">Makespans; null when not asked for.</param>
public sealed record SimulationReport(string Name, ulong Seed, double Days, int Repetitions, IReadOnlyList<SimulationPoint> Points, IReadOnlyList<LossCaseResult> Cases, AttemptResult? Attempts)
{
    private static readonly JsonSerializerOptions Json = new() { WriteIndented = true, PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull };

    /// <summary>Goodput against accelerators, one line a policy: for a plot with a logarithmic x axis.</summary>
    public IReadOnlyList<SimulationSeries> Series() =>
        [.. Points.GroupBy(point => point.Policy).Select(line => new SimulationSeries(line.Key, [.. line.Select(point => (double)point.Accelerators)], [.. line.Select(point => point.Goodput)]))];

    /// <summary>The whole report as JSON.</summary>
    public string ToJson() => JsonSerializer.Serialize(this, Json);
}
