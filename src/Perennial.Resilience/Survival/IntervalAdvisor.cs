using System.Globalization;

namespace Perennial.Resilience.Survival;

/// <summary>What the advisor knows: measured costs and stated failure rates.</summary>
public sealed record AdvisorInput
{
    /// <summary>N: nodes of the run.</summary>
    public required int Nodes { get; init; }

    /// <summary>Nodes lost an hour and node.</summary>
    public required double NodeFailuresPerHour { get; init; }

    /// <summary>Trainers lost an hour and node to faults that leave the node's memory alone.</summary>
    public double SoftwareFaultsPerHour { get; init; }

    /// <summary>Measured seconds of a step without snapshots.</summary>
    public required double StepSeconds { get; init; }

    /// <summary>Measured seconds that the optimizer waits for a snapshot.</summary>
    public required double SnapshotStallSeconds { get; init; }

    /// <summary>Measured seconds from BEGIN to COMMIT; a snapshot cannot be taken more often.</summary>
    public required double SnapshotSeconds { get; init; }

    /// <summary>Measured seconds that training waits for a checkpoint on disk.</summary>
    public required double CheckpointStallSeconds { get; init; }

    /// <summary>Seconds from a fault to the first step when memory is restored.</summary>
    public double RestartSeconds { get; init; } = 30;

    /// <summary>Seconds from a fault to the first step when the disk is read.</summary>
    public double DiskRestartSeconds { get; init; } = 300;

    /// <summary>Hours until a lost node is replaced and its group protected again.</summary>
    public double RepairHours { get; init; } = 0.1;

    /// <summary>Z: bytes of a node's state.</summary>
    public required long StateBytes { get; init; }

    /// <summary>Bytes of memory a node has for snapshots.</summary>
    public required long MemoryBytes { get; init; }

    /// <summary>Hours that the run will take.</summary>
    public double RunHours { get; init; } = 24 * 30;

    /// <summary>Probability, over the run, of losing the state in memory that is accepted.</summary>
    public double AcceptedLoss { get; init; } = 0.01;

    /// <summary>How the nodes protect each other, group size and losses, where that is settled; null to choose.</summary>
    public (int Size, int Losses)? Protection { get; init; }

    /// <summary>Group sizes to choose from; those that do not divide the nodes are left out.</summary>
    public IReadOnlyList<int> GroupSizes { get; init; } = [2, 4, 8, 16];

    /// <summary>The most losses to consider.</summary>
    public int MostLosses { get; init; } = 3;
}

/// <summary>What to set, and why.</summary>
/// <param name="SnapshotEverySteps">Steps between snapshots, at least 1.</param>
/// <param name="GroupSize">n; 1 for no parity.</param>
/// <param name="Losses">m; 0 for no parity.</param>
/// <param name="CheckpointSeconds">Seconds between checkpoints on disk.</param>
/// <param name="MeanTimeToLossHours">MTTDL of the state in memory.</param>
/// <param name="LossProbability">Probability of losing it over the run.</param>
/// <param name="Waste">Share of time that faults and savings cost.</param>
/// <param name="Lines">The reasoning.</param>
public sealed record Advice(int SnapshotEverySteps, int GroupSize, int Losses, double CheckpointSeconds, double MeanTimeToLossHours, double LossProbability, double Waste, IReadOnlyList<string> Lines);

/// <summary>
/// Chooses the snapshot interval, the parity and the checkpoint interval (paper 02 §7): snapshots by the mean time between any faults,
/// checkpoints by the mean time to the loss of what is in memory.
/// </summary>
public static class IntervalAdvisor
{
    private const double SecondsPerHour = 3600;

    /// <summary>Advises.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A count, rate or time that cannot be.</exception>
    public static Advice Advise(AdvisorInput input)
    {
        ArgumentNullException.ThrowIfNull(input);
        ArgumentOutOfRangeException.ThrowIfLessThan(input.Nodes, 1);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(input.StepSeconds);
        ArgumentOutOfRangeException.ThrowIfNegative(input.SnapshotStallSeconds);
        ArgumentOutOfRangeException.ThrowIfNegative(input.NodeFailuresPerHour);
        ArgumentOutOfRangeException.ThrowIfNegative(input.SoftwareFaultsPerHour);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(input.RepairHours);
        var lines = new List<string>();
        var faults = input.Nodes * (input.NodeFailuresPerHour + input.SoftwareFaultsPerHour);
        var between = faults == 0 ? double.PositiveInfinity : SecondsPerHour / faults;
        lines.Add(Line($"{input.Nodes} nodes: a fault every {Hours(between / SecondsPerHour)}"));

        var steps = SnapshotSteps(input, between, lines);
        var (n, m, loss, probability) = Parity(input, lines);
        var optimum = Intervals.Optimal(input.CheckpointStallSeconds, loss * SecondsPerHour);
        // A checkpoint a run at least: it is also the result.
        var checkpoint = Math.Min(optimum, input.RunHours * SecondsPerHour);
        lines.Add(Line($"disk: a checkpoint stalls {input.CheckpointStallSeconds:0.###} s, so √(2·{input.CheckpointStallSeconds:0.###} s·{Hours(loss)}) = every {Hours(optimum / SecondsPerHour)}{(optimum > checkpoint ? "; once a run is the least" : "")}"));

        var waste = Intervals.Waste(steps * input.StepSeconds, input.SnapshotStallSeconds, between, input.RestartSeconds)
            + Intervals.Waste(checkpoint, input.CheckpointStallSeconds, loss * SecondsPerHour, input.DiskRestartSeconds);
        lines.Add(Line($"expected waste: {waste:P3} of the time"));
        return new(steps, n, m, checkpoint, loss, probability, waste, lines);
    }

    private static int SnapshotSteps(AdvisorInput input, double between, List<string> lines)
    {
        var optimum = Intervals.Optimal(input.SnapshotStallSeconds, between);
        var least = Math.Max(1, (int)Math.Ceiling(input.SnapshotSeconds / input.StepSeconds));
        // Without faults the optimum is never; then the run is one interval.
        var wanted = (int)Math.Clamp(Math.Floor(Math.Min(optimum, input.RunHours * SecondsPerHour) / input.StepSeconds), 1, int.MaxValue);
        var steps = Math.Max(least, wanted);
        lines.Add(Line($"snapshots: a stall of {input.SnapshotStallSeconds:0.###} s makes √(2·O·M) = {optimum:0.#} s, {wanted} steps of {input.StepSeconds:0.###} s"));
        if (least > wanted) lines.Add(Line($"snapshots: one takes {input.SnapshotSeconds:0.###} s, so every {least} steps is the most that keeps up"));
        lines.Add(steps == 1 ? "snapshots: every step" : Line($"snapshots: every {steps} steps"));
        return steps;
    }

    private static (int N, int M, double LossHours, double Probability) Parity(AdvisorInput input, List<string> lines)
    {
        (int N, int M, long Memory, double Loss) Choice(int n, int m) => (n, m, (long)Math.Ceiling(2.0 * input.StateBytes * n / (n - m)), SurvivalModel.MeanTimeToLoss(input.NodeFailuresPerHour, input.RepairHours, input.Nodes, n, m));
        if (input.Protection is { } settled)
        {
            var kept = Choice(settled.Size, settled.Losses);
            lines.Add(Line($"parity: {(settled.Losses == 0 ? "none" : $"{settled.Losses} of {settled.Size}")}; the state in memory is lost every {Hours(kept.Loss)}"));
            return (settled.Size, settled.Losses, kept.Loss, -NodeSurvival.Expm1(-input.RunHours / kept.Loss));
        }
        List<(int N, int M, long Memory, double Loss)> choices = [Choice(1, 0)];
        foreach (var n in input.GroupSizes.Where(n => n >= 2 && input.Nodes % n == 0).Distinct())
            for (var m = 1; m <= Math.Min(input.MostLosses, n - 1); m++) choices.Add(Choice(n, m));
        double Lost(double hours) => -NodeSurvival.Expm1(-input.RunHours / hours);
        var fitting = choices.Where(choice => choice.Memory <= input.MemoryBytes).ToList();
        if (fitting.Count == 0)
        {
            lines.Add(Line($"parity: not even two plain slots fit: {choices[0].Memory >> 20} MiB needed, {input.MemoryBytes >> 20} MiB there; snapshots are not possible"));
            return (1, 0, choices[0].Loss, Lost(choices[0].Loss));
        }
        var good = fitting.Where(choice => Lost(choice.Loss) <= input.AcceptedLoss).ToList();
        var (size, losses, memory, loss) = good.Count > 0 ? good.OrderBy(choice => choice.Memory).ThenBy(choice => choice.M).First() : fitting.OrderByDescending(choice => choice.Loss).First();
        var probability = Lost(loss);
        lines.Add(losses == 0
            ? Line($"parity: none; the state in memory is lost every {Hours(loss)}")
            : Line($"parity: {losses} of {size}, {memory >> 20} MiB a node; the state in memory is lost every {Hours(loss)}, against {Hours(choices[0].Loss)} without"));
        lines.Add(Line($"parity: over {Hours(input.RunHours)} that is a probability of {probability:0.##E+0}, {(good.Count > 0 ? "within" : "above; no choice that fits reaches")} the accepted {input.AcceptedLoss:0.##E+0}"));
        return (size, losses, loss, probability);
    }

    private static string Hours(double hours) => double.IsInfinity(hours) ? "never" : hours switch
    {
        < 1.0 / 60 => Line($"{hours * SecondsPerHour:0.#} s"),
        < 1 => Line($"{hours * 60:0.#} min"),
        < 100_000 => Line($"{hours:0.##} h"),
        _ => Line($"{hours:0.###E+0} h"),
    };

    private static string Line(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
