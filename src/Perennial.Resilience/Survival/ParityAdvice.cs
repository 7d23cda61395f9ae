using System.Globalization;
using Perennial.Resilience.Snapshots;

namespace Perennial.Resilience.Survival;

/// <summary>Which parity <c>resilience.parity: auto</c> takes, and why.</summary>
/// <param name="Choice">The parity.</param>
/// <param name="Lines">The reasoning.</param>
public sealed record ParityAdvice(ParityChoice Choice, IReadOnlyList<string> Lines)
{
    private const double AcceptedLoss = 0.001, RunHours = 24 * 30, RepairHours = 0.1;
    private const int MostLosses = 3;

    /// <summary>
    /// The fewest losses tolerated under which the state in memory is lost with a probability of at most 0.1 % in 30 days, when a lost node is
    /// replaced and its group protected again within 6 minutes (paper 02 §6: mean time to data loss with repair).
    /// </summary>
    /// <param name="nodes">Nodes of the run.</param>
    /// <param name="failuresPerDay">Nodes lost a day and node.</param>
    public static ParityAdvice For(int nodes, double failuresPerDay)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(nodes, 1);
        ArgumentOutOfRangeException.ThrowIfNegative(failuresPerDay);
        if (nodes == 1) return new(ParityChoice.None, ["parity auto: one node has no other to keep parity on; snapshots outlive trainers, checkpoints outlive the node"]);
        if (failuresPerDay == 0) return new(ParityChoice.None, ["parity auto: none, since no node is expected to fail (resilience.node-failures: 0)"]);
        var lines = new List<string> { Line($"parity auto: {nodes} nodes that each fail {failuresPerDay:0.######} times a day (resilience.node-failures) lose one of them every {Hours(24 / (failuresPerDay * nodes))}") };
        for (var losses = 0; ; losses++)
        {
            var choice = losses == 0 ? ParityChoice.None : losses == 1 ? ParityChoice.Xor : new ParityChoice(0, losses);
            var sizes = choice.Groups(nodes);
            // Groups are independent: their rates of loss add up.
            var rate = sizes.Sum(size => 1 / SurvivalModel.MeanTimeToLoss(failuresPerDay / 24, RepairHours, size, size, choice.LossesOf(size)));
            var lost = -NodeSurvival.Expm1(-RunHours * rate);
            var memory = losses == 0 ? 0 : sizes.Max(size => (double)choice.LossesOf(size) / (size - choice.LossesOf(size)));
            lines.Add(Line($"parity auto: {losses} losses in groups of {string.Join(", ", sizes.Distinct())} ({memory:P0} more memory): the state in memory is lost every {Hours(1 / rate)}, in 30 days with probability {lost:0.##E+0}"));
            if (lost > AcceptedLoss && losses < Math.Min(MostLosses, sizes.Min() - 1 + (losses == 0 ? 1 : 0))) continue;
            lines.Add(Line($"parity auto: {choice}, {(lost <= AcceptedLoss ? "the first" : "the most that helps; it stays above the wanted")} {AcceptedLoss:P1}"));
            return new(choice, lines);
        }
    }

    private static string Hours(double hours) => hours < 48 ? Line($"{hours:0.#} h") : hours < 24 * 1000 ? Line($"{hours / 24:0.#} days") : Line($"{hours / 24 / 365.25:0.##E+0} years");

    private static string Line(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
