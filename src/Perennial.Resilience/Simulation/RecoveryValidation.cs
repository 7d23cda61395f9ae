using Perennial.Core;
using Perennial.Resilience.Partition;

namespace Perennial.Resilience.Simulation;

/// <summary>Predicted against measured, for one run.</summary>
/// <param name="Name">The run.</param>
/// <param name="Policy">Its policy.</param>
/// <param name="Independent">The phase times came from other runs only. If not, there was no other run of as many ranks, and the check says little.</param>
/// <param name="MeasuredRecovery">Mean seconds of a recovery.</param>
/// <param name="PredictedRecovery">The same, predicted.</param>
/// <param name="MeasuredSteps">Committed steps, of the whole batch: a step that lost samples counts by the rest of them, for the simulation keeps the batch.</param>
/// <param name="PredictedSteps">The same, predicted.</param>
public sealed record ValidatedRun(string Name, string Policy, bool Independent, double MeasuredRecovery, double PredictedRecovery, long MeasuredSteps, long PredictedSteps)
{
    /// <summary>|predicted − measured| / measured of the recovery time; 0 when neither had a recovery.</summary>
    public double RecoveryError => MeasuredRecovery == 0 ? PredictedRecovery == 0 ? 0 : double.PositiveInfinity : Math.Abs(PredictedRecovery - MeasuredRecovery) / MeasuredRecovery;

    /// <summary>|predicted − measured| / measured of the steps.</summary>
    public double StepError => Math.Abs(PredictedSteps - MeasuredSteps) / (double)MeasuredSteps;
}

/// <summary>Plays measured runs again in the simulation: same faults at the same times and in the same places of the same steps; phase times from other runs.</summary>
public static class RecoveryValidation
{
    /// <summary>Predicts every measured run.</summary>
    /// <param name="options">Job, cluster and protection as they were; paths, stages, step time and spares come from each run. Spread is left out.</param>
    /// <param name="measured">The runs.</param>
    /// <exception cref="PerennialException">Exit 2: a run's policy is not among the options' policies.</exception>
    public static IReadOnlyList<ValidatedRun> Compare(SimulationOptions options, MeasuredRecoveries measured)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(measured);
        return [.. measured.Runs.Select(run => Compare(options, run, [.. measured.Runs.Where(other => !ReferenceEquals(other, run) && other.Events.Count > 0)]))];
    }

    private static ValidatedRun Compare(SimulationOptions options, MeasuredRun run, IReadOnlyList<MeasuredRun> rest)
    {
        var chosen = options.Policies.FirstOrDefault(candidate => candidate.Kind == run.Policy)
            ?? throw PerennialException.Usage($"measured run '{run.Name}' has policy '{run.Policy}', which the recipe does not list");
        var others = Others(run, rest);
        List<MeasuredRun> known = others.Count > 0 ? others : run.Events.Count > 0 ? [run] : [];
        var times = chosen.Create().Times;
        if (known.Count > 0) times = RecoveryCalibration.Times(times, known, others.Count > 0 ? rest : [.. rest, run]);
        var policy = new MeasuredPolicy(RecoveryCalibration.Calibrated(chosen, times with { Spread = 0 }).Create(), [.. known.SelectMany(other => other.Degraded.Select(pace => (pace.Ranks, pace.StepSeconds / other.StepSeconds)))]);
        var respawns = known.Select(other => other.RespawnSeconds).Where(seconds => seconds > 0).DefaultIfEmpty(options.Cluster.RespawnSeconds);
        // Measured moves contain their transfers, so the state has no bytes of its own here; where all wait for the one that comes back, that wait is in the phases too.
        var local = options with
        {
            Job = options.Job with { Stages = run.Stages, StepSeconds = run.StepSeconds, StateBytes = 0 },
            Cluster = options.Cluster with { PerNode = 1, RespawnSeconds = policy.WaitsForSpares ? 0 : respawns.Average() },
        };
        var setup = Simulator.Setup(local, policy, (long)run.Paths * run.Stages);
        setup = setup with
        {
            Spares = run.Spares,
            CheckpointEvery = run.CheckpointSteps > 0 ? run.CheckpointSteps : setup.CheckpointEvery,
            CheckpointSeconds = run.CheckpointSeconds,
            // Measured steps contain their stalls.
            Options = local with { Protection = local.Protection with { SnapshotStallSeconds = 0, CheckpointStallSeconds = 0 } },
        };
        var faults = new RecordedFaults(run.Events.Select(fault => new Fault(fault.At, fault.Ranks, fault.Software, run.IntoStep(fault), fault.Leader, fault.Step)));
        var outcome = new JobRun(setup, faults, new(options.Seed, 0)).Run(run.Seconds);
        return new(run.Name, run.Policy, others.Count > 0, run.Events.Count == 0 ? 0 : run.Events.Average(fault => fault.Total),
            outcome.Incidents.Count == 0 ? 0 : outcome.Incidents.Average(incident => incident.Seconds), run.WholeSteps > 0 ? (long)Math.Round(run.WholeSteps) : run.Steps, outcome.Steps);
    }

    // More processes on the same machine take longer over everything, so only runs of as many ranks tell: of the policy, or else of those whose ranks go on as well.
    private static List<MeasuredRun> Others(MeasuredRun run, IReadOnlyList<MeasuredRun> rest)
    {
        List<MeasuredRun> alike = [.. rest.Where(other => other.Ranks == run.Ranks)], own = [.. alike.Where(other => other.Policy == run.Policy)];
        return own.Count > 0 || !run.IsNoticed ? own : [.. alike.Where(other => other.IsNoticed)];
    }

    /// <summary>A policy whose steps with fewer ranks take as much longer as was measured: processes that share a machine's processors slow down less than the model's ranks, which have their own.</summary>
    private sealed class MeasuredPolicy(IRecoveryPolicy policy, IReadOnlyList<(int Ranks, double Slower)> paces) : IRecoveryPolicy
    {
        // A rank that comes back is taken in at once, so it must be worth a little.
        private const double Least = 1.001;

        public StateSource Source => policy.Source;

        public RecoveryTimes Times => policy.Times;

        public bool JoinsRunning => policy.JoinsRunning;

        public bool WaitsForSpares => policy.WaitsForSpares;

        public bool UsesDamagedPaths => policy.UsesDamagedPaths;

        public DegradedStep? Step(PipelineShape shape, Occupancy who)
        {
            var step = policy.Step(shape, who);
            if (step is null || who.Live >= shape.Ranks) return step;
            var measured = paces.Where(pace => pace.Ranks == who.Live).Select(pace => pace.Slower).DefaultIfEmpty(double.NaN).Average();
            return double.IsNaN(measured) ? step : step with { Seconds = shape.WholeStepSeconds * Math.Max(Least, measured) };
        }
    }
}
