namespace Perennial.Resilience.Survival;

/// <summary>
/// The survival mathematics of paper 02 §6: whether the training state in memory outlives node failures. Software faults never lose it, since
/// the manager's process is outside the trainer's fate. Nodes fail independently, unless said otherwise.
/// </summary>
public static class SurvivalModel
{
    /// <summary>P_g = Σ_{i ≤ m} C(n,i)(1−R)^i R^(n−i): a group of n nodes that tolerates m losses survives so many hours without repair.</summary>
    public static double Group(NodeSurvival node, double hours, int n, int m) => 1 - GroupLoss(node, hours, n, m);

    /// <summary>1 − P_g, exact where it is small.</summary>
    public static double GroupLoss(NodeSurvival node, double hours, int n, int m)
    {
        ArgumentNullException.ThrowIfNull(node);
        return Tail(node.Dead(hours), node.Alive(hours), n, m);
    }

    /// <summary>P = P_g^G for N / n groups. N nodes without redundancy: n = 1, m = 0.</summary>
    /// <param name="node">A node's survival.</param>
    /// <param name="hours">How long.</param>
    /// <param name="nodes">N, a multiple of n.</param>
    /// <param name="n">Group size.</param>
    /// <param name="m">Losses tolerated in a group.</param>
    public static double Cluster(NodeSurvival node, double hours, int nodes, int n, int m)
    {
        if (nodes % n != 0) throw new ArgumentException($"{nodes} nodes are not groups of {n}", nameof(nodes));
        return Math.Exp(nodes / n * NodeSurvival.Log1p(-GroupLoss(node, hours, n, m)));
    }

    /// <summary>
    /// Survival where whole failure domains (racks, switches) die too, both ways of placing a group. Spread: each member in a domain of its own;
    /// for many groups this is a lower bound, since their losses come together. Packed: all of a group in one domain, whose death takes all.
    /// </summary>
    /// <param name="node">A node's own survival.</param>
    /// <param name="domain">A domain's survival.</param>
    /// <param name="hours">How long.</param>
    /// <param name="nodes">N.</param>
    /// <param name="n">Group size.</param>
    /// <param name="m">Losses tolerated.</param>
    public static (double Spread, double Packed) ClusterInDomains(NodeSurvival node, NodeSurvival domain, double hours, int nodes, int n, int m)
    {
        ArgumentNullException.ThrowIfNull(node);
        ArgumentNullException.ThrowIfNull(domain);
        var alive = node.Alive(hours) * domain.Alive(hours);
        var dead = node.Dead(hours) + node.Alive(hours) * domain.Dead(hours);
        var groups = nodes / n;
        return (Math.Exp(groups * NodeSurvival.Log1p(-Tail(dead, alive, n, m))), Cluster(node, hours, nodes, n, m) * Math.Exp(groups * NodeSurvival.Log1p(-domain.Dead(hours))));
    }

    /// <summary>
    /// Mean time to data loss in hours with repair: h_0 = 1/(nλ), h_i = 1/((n−i)λ) + μ/((n−i)λ)·h_{i−1}, MTTDL = Σ h_i / G.
    /// </summary>
    /// <param name="failuresPerHour">λ of a node.</param>
    /// <param name="repairHours">1/μ: until a lost node is replaced and its group protected again.</param>
    /// <param name="nodes">N, a multiple of n.</param>
    /// <param name="n">Group size; 1 without redundancy.</param>
    /// <param name="m">Losses tolerated; 0 without redundancy.</param>
    public static double MeanTimeToLoss(double failuresPerHour, double repairHours, int nodes, int n, int m)
    {
        if (nodes % n != 0) throw new ArgumentException($"{nodes} nodes are not groups of {n}", nameof(nodes));
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(m, n);
        if (failuresPerHour == 0) return double.PositiveInfinity;
        var (sum, step) = (0.0, 0.0);
        for (var lost = 0; lost <= m; lost++)
        {
            var rate = (n - lost) * failuresPerHour;
            step = 1 / rate + (lost == 0 ? 0 : step / (repairHours * rate));
            sum += step;
        }
        return sum / (nodes / n);
    }

    /// <summary>The same for fast repair: μ^m / (G·λ^(m+1)·n(n−1)…(n−m)).</summary>
    public static double MeanTimeToLossApproximately(double failuresPerHour, double repairHours, int nodes, int n, int m)
    {
        var product = Enumerable.Range(0, m + 1).Aggregate(1.0, (value, lost) => value * (n - lost));
        return Math.Pow(repairHours, -m) / (nodes / n * Math.Pow(failuresPerHour, m + 1) * product);
    }

    private static double Tail(double dead, double alive, int n, int m)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(n, 1);
        ArgumentOutOfRangeException.ThrowIfNegative(m);
        var (sum, choose) = (0.0, 1.0);
        for (var lost = 0; lost <= n; lost++)
        {
            if (lost > m) sum += choose * Math.Pow(dead, lost) * Math.Pow(alive, n - lost);
            choose = choose * (n - lost) / (lost + 1);
        }
        return sum;
    }
}
