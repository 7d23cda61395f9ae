namespace Perennial.Resilience.Simulation;

/// <summary>One fault.</summary>
/// <param name="Seconds">When, from the run's start.</param>
/// <param name="Ranks">Ranks that it takes, lost already or not.</param>
/// <param name="Software">Only the process died: node and memory stay.</param>
/// <param name="IntoStep">Seconds of the step that was under way, where they were measured; else the simulation's own clock says.</param>
/// <param name="Leader">Whether it takes the process that leads, where it was measured; else rank 0 leads.</param>
/// <param name="Step">The last step that was done, where it was measured; else the simulation's own clock says.</param>
internal sealed record Fault(double Seconds, IReadOnlyList<int> Ranks, bool Software, double? IntoStep = null, bool? Leader = null, long? Step = null);

/// <summary>Where the faults of a simulated run come from.</summary>
internal interface IFaultSource
{
    /// <summary>When the next fault comes; infinite for none.</summary>
    double Next { get; }

    /// <summary>Takes the next fault.</summary>
    Fault Take();

    /// <summary>A fresh node, or a fresh process, begins its life at a rank.</summary>
    void Started(int rank, double seconds);
}

/// <summary>Faults at times that are given: a measured run played again.</summary>
internal sealed class RecordedFaults(IEnumerable<Fault> faults) : IFaultSource
{
    private readonly Queue<Fault> queue = new(faults.OrderBy(fault => fault.Seconds));

    public double Next => queue.TryPeek(out var fault) ? fault.Seconds : double.PositiveInfinity;

    public Fault Take() => queue.Dequeue();

    public void Started(int rank, double seconds) { /* the record knows what happened */ }
}

/// <summary>
/// Independent Weibull lives of all nodes, as one process: the next death among the n nodes that still live their first life comes where the cumulative
/// hazard has grown by Exp(1)/n, and only nodes that were replaced have a clock of their own. So the work is that of the faults, not of the nodes.
/// </summary>
internal sealed class RandomFaults : IFaultSource
{
    private enum Life : byte { First, Later, Dead }

    private readonly FailureOptions options;
    private readonly RandomStream random;
    private readonly Life[] lives;
    private readonly int[] generations;
    private readonly PriorityQueue<(int Rank, int Generation), double> later = new();
    private readonly double scale;
    private double nextFirst;
    private int first;

    public RandomFaults(FailureOptions options, int perNode, int ranks, RandomStream random)
    {
        (this.options, this.random, first) = (options, random, ranks);
        (lives, generations) = (new Life[ranks], new int[ranks]);
        var mean = options.AcceleratorHours <= 0 ? double.PositiveInfinity : options.AcceleratorHours * 3_600 / perNode;
        scale = mean / Gamma(1 + 1 / options.Shape);
        PlanFirst();
    }

    public double Next
    {
        get
        {
            // Clocks of nodes that died otherwise are thrown away here.
            while (later.TryPeek(out var node, out _) && generations[node.Rank] != node.Generation) later.Dequeue();
            return Math.Min(nextFirst, later.TryPeek(out _, out var time) ? time : double.PositiveInfinity);
        }
    }

    public Fault Take()
    {
        var time = Next;
        int rank;
        if (time == nextFirst)
        {
            do rank = (int)random.Below(lives.Length);
            while (lives[rank] != Life.First);
        }
        else rank = later.Dequeue().Rank;
        var software = random.Uniform() < options.Software;
        List<int> ranks = [rank];
        if (!software && options.Correlated > 0 && random.Uniform() < options.Correlated)
        {
            for (var i = 1; i < options.CorrelatedNodes && rank + i < lives.Length; i++) ranks.Add(rank + i);
        }
        ranks.RemoveAll(taken => lives[taken] == Life.Dead);
        foreach (var taken in ranks)
        {
            if (lives[taken] == Life.First) first--;
            lives[taken] = Life.Dead;
            generations[taken]++;
        }
        PlanFirst(Hazard(time));
        return new(time, ranks, software);
    }

    public void Started(int rank, double seconds)
    {
        if (double.IsPositiveInfinity(scale)) return;
        lives[rank] = Life.Later;
        later.Enqueue((rank, ++generations[rank]), seconds + scale * Math.Pow(random.Exponential(), 1 / options.Shape));
    }

    // The first lives are as old as the run: their hazard goes on from now, whoever died.
    private void PlanFirst(double hazard = 0) =>
        nextFirst = first == 0 || double.IsPositiveInfinity(scale) ? double.PositiveInfinity : scale * Math.Pow(hazard + random.Exponential() / first, 1 / options.Shape);

    private double Hazard(double seconds) => double.IsPositiveInfinity(scale) ? 0 : Math.Pow(seconds / scale, options.Shape);

    /// <summary>Γ(x) for x in [1, 8] (Stirling's series after raising the argument by recurrence).</summary>
    internal static double Gamma(double x)
    {
        var divisor = 1.0;
        for (; x < 12; x++) divisor *= x;
        return Math.Exp((x - 0.5) * Math.Log(x) - x + 0.5 * Math.Log(2 * Math.PI) + 1 / (12 * x) - 1 / (360 * x * x * x) + 1 / (1260 * Math.Pow(x, 5))) / divisor;
    }
}
