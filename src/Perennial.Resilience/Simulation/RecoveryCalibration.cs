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
                var events = measured.Runs.Where(run => run.Policy == policy.Kind).SelectMany(run => run.Events).ToList();
                return events.Count == 0 ? policy : Calibrated(policy, Times(policy.Create().Times, events));
            })],
        };
    }

    /// <summary>
    /// Phase times from measured recoveries; the spread is kept when there is only one. Where the leader was lost in some of them, what those took longer
    /// than the others is a time of its own.
    /// </summary>
    public static RecoveryTimes Times(RecoveryTimes assumed, IReadOnlyList<MeasuredEvent> events)
    {
        ArgumentNullException.ThrowIfNull(assumed);
        ArgumentNullException.ThrowIfNull(events);
        static double Whole(MeasuredEvent fault) => fault.Total - fault.Again;
        var (led, others) = (events.Where(fault => fault.Leader).ToList(), events.Where(fault => !fault.Leader).ToList());
        var usual = others.Count > 0 ? others : events;
        var times = Enum.GetValues<RecoveryPhase>().Aggregate(assumed, (present, phase) => present.With(phase, usual.Average(fault => fault[phase])));
        if (led.Count > 0 && others.Count > 0) times = times with { Lead = Math.Max(0, led.Average(Whole) - others.Average(Whole)) };
        if (events.Count < 2) return times;
        var logs = events.Select(fault => Math.Log(Math.Max(1e-6, Whole(fault) - (fault.Leader ? times.Lead : 0)))).ToList();
        var mean = logs.Average();
        return times with { Spread = Math.Min(3, Math.Sqrt(logs.Sum(value => (value - mean) * (value - mean)) / (logs.Count - 1))) };
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
