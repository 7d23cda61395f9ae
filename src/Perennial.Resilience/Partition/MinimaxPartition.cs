namespace Perennial.Resilience.Partition;

/// <summary>The pipeline to cut into stages.</summary>
/// <param name="Layers">Costs of the layers, in order.</param>
/// <param name="Stages">Live ranks of every stage.</param>
/// <param name="Samples">Samples of a wave (D·b).</param>
public sealed record PartitionProblem(IReadOnlyList<LayerCost> Layers, IReadOnlyList<StageRanks> Stages, int Samples)
{
    /// <summary>Whether a stage may end with no layers: its ranks then only pass activations on.</summary>
    public bool AllowEmpty { get; init; }
}

/// <summary>
/// Cuts layers into consecutive stages so that the slowest stage is as fast as can be, under memory limits (paper 23 §2):
/// F[p][l] = min over k of max(F[p−1][k], T_p(k+1..l)), with T_p = Σ c_l · max_i b_i/v_i + comm_p. Exact, O(P·L²). Among the cuts that reach the
/// optimum, the one that moves the least bytes from the present cut.
/// </summary>
public static class MinimaxPartition
{
    /// <summary>Finds the cut; null when none fits into memory.</summary>
    /// <param name="problem">Costs and ranks.</param>
    /// <param name="present">The cut in use, or null: ties then go to the earliest ends.</param>
    /// <exception cref="ArgumentException">A stage has no live rank, or the present cut is of another pipeline.</exception>
    public static StagePartition? Find(PartitionProblem problem, StagePartition? present = null)
    {
        ArgumentNullException.ThrowIfNull(problem);
        if (present is not null && (present.Layers != problem.Layers.Count || present.Stages != problem.Stages.Count))
            throw new ArgumentException($"the present cut {present} has {present.Layers} layers in {present.Stages} stages; the problem has {problem.Layers.Count} in {problem.Stages.Count}");
        var times = new StageTimes(problem);
        var bottleneck = Cheapest(problem, (stage, from, to) => times.Seconds(stage, from, to), Math.Max);
        if (double.IsPositiveInfinity(bottleneck.Cost)) return null;
        if (present is null) return bottleneck.Partition;
        // Sums that are equal on paper differ in their last bits.
        var allowed = bottleneck.Cost * (1 + 1e-9);
        // Second pass: fewest moved bytes among all cuts whose every stage keeps to the optimum.
        var weights = new PrefixSums(problem.Layers.Select(layer => (double)Math.Max(1, layer.StateBytes)));
        return Cheapest(problem,
            (stage, from, to) => times.Seconds(stage, from, to) <= allowed ? weights.Of(from, to) - weights.Of(Math.Max(from, present.First(stage)), Math.Min(to, present.Ends[stage])) : double.PositiveInfinity,
            (sum, moved) => sum + moved).Partition;
    }

    /// <summary>Seconds of every stage for one wave under a cut; infinite where memory does not suffice.</summary>
    public static IReadOnlyList<double> StageSeconds(PartitionProblem problem, StagePartition partition)
    {
        ArgumentNullException.ThrowIfNull(partition);
        var times = new StageTimes(problem);
        return [.. Enumerable.Range(0, partition.Stages).Select(stage => times.Seconds(stage, partition.First(stage), partition.Ends[stage]))];
    }

    private static (double Cost, StagePartition? Partition) Cheapest(PartitionProblem problem, Func<int, int, int, double> cost, Func<double, double, double> join)
    {
        var (layers, stages) = (problem.Layers.Count, problem.Stages.Count);
        var least = problem.AllowEmpty ? 0 : 1;
        var before = new double[layers + 1];
        Array.Fill(before, double.PositiveInfinity, 1, layers);
        var cuts = new int[stages, layers + 1];
        for (var stage = 0; stage < stages; stage++)
        {
            var now = new double[layers + 1];
            Array.Fill(now, double.PositiveInfinity);
            for (var end = 0; end <= layers; end++)
            {
                for (var start = 0; start <= end - least; start++)
                {
                    if (before[start] >= now[end]) continue;
                    var total = join(before[start], cost(stage, start, end));
                    if (total < now[end]) (now[end], cuts[stage, end]) = (total, start);
                }
            }
            before = now;
        }
        if (double.IsPositiveInfinity(before[layers])) return (before[layers], null);
        var ends = new int[stages];
        for (int stage = stages - 1, end = layers; stage >= 0; stage--) (ends[stage], end) = (end, cuts[stage, end]);
        return (before[layers], new(ends));
    }

    private sealed class PrefixSums
    {
        private readonly double[] sums;

        public PrefixSums(IEnumerable<double> values) => sums = [0, .. Accumulate(values)];

        public double Of(int from, int to) => to > from ? sums[to] - sums[from] : 0;

        private static IEnumerable<double> Accumulate(IEnumerable<double> values)
        {
            var sum = 0.0;
            foreach (var value in values) yield return sum += value;
        }
    }

    /// <summary>T_p(from..to) and the memory check; stage p of P holds at most P − p waves in flight (paper 23 §9).</summary>
    private sealed class StageTimes
    {
        private readonly PrefixSums seconds, state, activations;
        private readonly double[] lengths, shares;
        private readonly IReadOnlyList<StageRanks> stages;

        public StageTimes(PartitionProblem problem)
        {
            (seconds, state, activations) = (new(problem.Layers.Select(layer => layer.Seconds)), new(problem.Layers.Select(layer => (double)layer.StateBytes)), new(problem.Layers.Select(layer => (double)layer.ActivationBytes)));
            stages = problem.Stages;
            var slots = stages.Select(stage => stage.Slot(problem.Samples)).ToList();
            (lengths, shares) = ([.. slots.Select(slot => slot.Length)], [.. slots.Select(slot => (double)slot.Most)]);
        }

        public double Seconds(int stage, int from, int to)
        {
            if (stages[stage].CapacityBytes is { } capacity)
            {
                var need = state.Of(from, to) / stages[stage].Count + activations.Of(from, to) * shares[stage] * (stages.Count - stage);
                if (need > capacity) return double.PositiveInfinity;
            }
            return seconds.Of(from, to) * lengths[stage] + stages[stage].CommunicationSeconds;
        }
    }
}
