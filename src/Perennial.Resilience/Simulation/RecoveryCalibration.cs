using Perennial.Core;

namespace Perennial.Resilience.Simulation;

/// <summary>Puts measured phase times in the place of assumed ones.</summary>
public static class RecoveryCalibration
{
    /// <summary>
    /// The options with every measured policy's phase times replaced by their means, and its spread by that of the measured totals. A policy that was
    /// not measured keeps its times. Transfers that depend on the state's size still come on top.
    /// </summary>
    public static SimulationOptions Apply(SimulationOptions options, MeasuredRecoveries measured)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(measured);
        return options with
        {
            Policies = [.. options.Policies.Select(policy =>
            {
                var runs = measured.Runs.Where(run => run.Policy == policy.Kind && run.Events.Count > 0).ToList();
                return runs.Count == 0 ? policy : Calibrated(policy, Times(policy.Create().Times, runs, measured.Runs));
            })],
        };
    }

    /// <summary>
    /// Phase times from measured recoveries; the spread is kept when there is only one. Detection is the wait for the end of the step's quiet part and a
    /// rest. Where the leader was lost in some of them, what those took longer than the others is a time of its own. These, agreement, the new group and
    /// what a join costs are of the job and not of the policy, so runs of other policies with as many ranks tell them too.
    /// </summary>
    /// <param name="assumed">Times in the place of what was not measured.</param>
    /// <param name="runs">Runs of the policy, with recoveries.</param>
    /// <param name="all">Runs of any policy.</param>
    /// <exception cref="ArgumentException">There is no recovery in <paramref name="runs"/>.</exception>
    public static RecoveryTimes Times(RecoveryTimes assumed, IReadOnlyList<MeasuredRun> runs, IReadOnlyList<MeasuredRun> all)
    {
        ArgumentNullException.ThrowIfNull(assumed);
        ArgumentNullException.ThrowIfNull(runs);
        ArgumentNullException.ThrowIfNull(all);
        var losses = Loss.Of(runs);
        if (losses.Count == 0) throw new ArgumentException("no recovery was measured", nameof(runs));
        // A restart is noticed by nobody in the job: whoever started it ends it and starts it anew.
        var alike = runs.Any(run => run.IsNoticed) ? [.. all.Where(other => other.IsNoticed && runs.Any(run => run.Ranks == other.Ranks))] : runs;
        var quiet = runs.Any(run => run.IsNoticed) ? Quiet(alike) : 0;
        IReadOnlyList<Loss> usual = Usual(losses), common = Usual(Loss.Of(alike));
        var times = Enum.GetValues<RecoveryPhase>().Aggregate(assumed, (present, phase) => present.With(phase, (IsOfJob(phase) ? common : usual).Average(loss => loss.Fault[phase]))) with { Quiet = quiet };
        times = times with { Detect = Math.Max(0, common.Average(loss => loss.Rest(quiet))) };
        if (alike.Where(run => run.JoinSeconds > 0).ToList() is { Count: > 0 } joined) times = times with { Join = joined.Average(run => run.JoinSeconds) };
        var leads = (Lead(losses, quiet) is { } own ? [own] : quiet > 0 ? Policies(alike).Select(policy => Lead(policy, quiet)).OfType<double>() : []).ToList();
        if (leads.Count > 0) times = times with { Lead = Math.Max(0, leads.Average()) };
        if (losses.Count < 2) return times;
        var logs = losses.Select(loss => Math.Log(Math.Max(1e-6, loss.Whole(quiet) - (loss.Fault.Leader ? times.Lead : 0)))).ToList();
        var mean = logs.Average();
        return times with { Spread = Math.Min(3, Math.Sqrt(logs.Sum(value => (value - mean) * (value - mean)) / (logs.Count - 1))) };
    }

    private static bool IsOfJob(RecoveryPhase phase) => phase is RecoveryPhase.Detect or RecoveryPhase.Agree or RecoveryPhase.Group;

    // Those without the leader, where there are some.
    private static IReadOnlyList<Loss> Usual(IReadOnlyList<Loss> losses) => losses.Where(loss => !loss.Fault.Leader).ToList() is { Count: > 0 } others ? others : losses;

    // What the loss of the leader took longer; null where one kind of loss is missing.
    private static double? Lead(IReadOnlyList<Loss> losses, double quiet)
    {
        var (led, others) = (losses.Where(loss => loss.Fault.Leader).ToList(), losses.Where(loss => !loss.Fault.Leader).ToList());
        return led.Count > 0 && others.Count > 0 ? led.Average(loss => loss.Whole(quiet)) - others.Average(loss => loss.Whole(quiet)) : null;
    }

    // The q whose rests, detect − max(0, q − into step), scatter least about the means of their policies; 0 unless that explains a quarter of the scatter.
    private static double Quiet(IReadOnlyList<MeasuredRun> runs)
    {
        const int least = 5, steps = 50;
        var policies = Policies(runs).Select(losses => losses.Where(loss => loss.Fault is { Leader: false, Detect: > 0 }).ToList()).Where(losses => losses.Count > 0).ToList();
        if (policies.Sum(losses => losses.Count) < least) return 0;
        double Scatter(double quiet)
        {
            var sum = 0.0;
            foreach (var losses in policies)
            {
                var mean = losses.Average(loss => loss.Rest(quiet));
                if (mean < 0) return double.PositiveInfinity;
                sum += losses.Sum(loss => (loss.Rest(quiet) - mean) * (loss.Rest(quiet) - mean));
            }
            return sum;
        }
        var most = policies.Max(losses => losses.Max(loss => loss.Into));
        var best = Enumerable.Range(0, steps + 1).Select(step => most * step / steps).MinBy(Scatter);
        return Scatter(best) <= 0.75 * Scatter(0) ? best : 0;
    }

    private static IEnumerable<IReadOnlyList<Loss>> Policies(IReadOnlyList<MeasuredRun> runs) => runs.GroupBy(run => run.Policy).Select(group => Loss.Of([.. group]));

    /// <summary>A measured loss and how far its step was.</summary>
    private sealed record Loss(MeasuredEvent Fault, double Into)
    {
        public static IReadOnlyList<Loss> Of(IReadOnlyList<MeasuredRun> runs) => [.. runs.SelectMany(run => run.Events.Select(fault => new Loss(fault, run.IntoStep(fault))))];

        /// <summary>Detection after the quiet part.</summary>
        public double Rest(double quiet) => Fault.Detect - Math.Max(0, quiet - Into);

        /// <summary>All phases, without that wait and without the work done again.</summary>
        public double Whole(double quiet) => Fault.Total - Fault.Again - Math.Max(0, quiet - Into);
    }

    /// <summary>The policy with other times. The options of the house's own policies carry them; those of somebody else's may not.</summary>
    /// <exception cref="PerennialException">Exit 2: they do not.</exception>
    public static ComponentSpec<IRecoveryPolicy> Calibrated(ComponentSpec<IRecoveryPolicy> policy, RecoveryTimes times) => policy with
    {
        Options = policy.Options switch
        {
            RestartRecoveryOptions options => options with { Times = times },
            DropReplicaRecoveryOptions options => options with { Times = times },
            RerouteRecoveryOptions options => options with { Times = times },
            ElasticRecoveryOptions options => options with { Times = times },
            _ => throw PerennialException.Usage($"policy '{policy.Kind}' cannot be calibrated: its options have no times"),
        },
    };
}
