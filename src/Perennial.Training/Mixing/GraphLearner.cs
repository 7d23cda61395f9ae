using Perennial.Data;
using Perennial.Data.Mixtures;
using Perennial.Training.Loop;
using Perennial.Training.Parallel;
using Perennial.Training.State;
using static TorchSharp.torch;

namespace Perennial.Training.Mixing;

/// <summary>
/// Learns which source helps which: from the run's start, a short run on each source alone (and, for pairs, on every two half and half), each
/// taken back. The state is afterwards what it was; the tokens it took are told.
/// </summary>
/// <param name="parts">The run.</param>
/// <param name="replicas">The processes: all take the short runs' steps together, the leader's losses count.</param>
/// <param name="step">Takes one step on a batch, as the run's own step with this one-based number would, without practices, cursor or counters.</param>
/// <param name="tell">Told of the graph and its cost.</param>
internal sealed class GraphLearner(RunParts parts, IReplicas replicas, Action<TokenBatch, long> step, Action<RunEvent> tell)
{
    public double[][] Learn(GraphLearningOptions options, SourceProbe probe)
    {
        using var start = new StateSnapshot(parts.State);
        start.Take(parts.State);
        // Sources without weight take no part: a stage may leave some out.
        int[] active = [.. Enumerable.Range(0, parts.Stream.Windows.Count).Where(i => parts.Stage.Recipe.Recipe.Data.Sources[i].Weight > 0)];
        try
        {
            IReadOnlyList<double> Measured(params int[] places)
            {
                if (places.Length > 0) Run(start, options.Steps, [.. places.Select(place => active[place])]);
                var losses = Measure(probe);
                return [.. active.Select(source => losses[source])];
            }
            var before = Measured();
            var alone = Enumerable.Range(0, active.Length).Select(i => Measured(i)).ToList();
            Dictionary<(int, int), IReadOnlyList<double>>? together = null;
            if (options.Method == GraphMethod.Pairs)
            {
                together = [];
                for (var i = 0; i < active.Length; i++)
                    for (var j = i + 1; j < active.Length; j++) together[(i, j)] = Measured(i, j);
            }
            var graph = SkillGraph.From(before, alone, together, options);
            var whole = SkillGraph.Spread(graph, active, parts.Stream.Windows.Count);
            Tell(graph, options, alone.Count + (together?.Count ?? 0));
            tell(new GraphLearned(parts.State.Progress.Step, whole, (alone.Count + (together?.Count ?? 0)) * (long)options.Steps));
            return whole;
        }
        finally
        {
            start.Restore(parts.State);
            parts.Model.ParametersChanged();
        }
    }

    private void Run(StateSnapshot start, int steps, int[] sources)
    {
        start.Restore(parts.State);
        parts.Model.ParametersChanged();
        var rows = parts.Recipe.Training.Batch;
        for (var done = 0L; done < steps; done++)
        {
            using var scope = NewDisposeScope();
            // Sources take turns row by row; each is read in its own order.
            var first = done * rows;
            step(parts.Stream.ReadSamples([.. Enumerable.Range(0, rows).Select(row => parts.Stream.SampleOf(sources[(first + row) % sources.Length], (first + row) / sources.Length))]), done + 1);
        }
    }

    private double[] Measure(SourceProbe probe)
    {
        using var _ = no_grad();
        using var scope = NewDisposeScope();
        return replicas.Agree(replicas.IsLeader ? probe.Losses(parts.Model) : new double[parts.Stream.Windows.Count]);
    }

    private void Tell(double[][] graph, GraphLearningOptions options, int runs)
    {
        var density = SkillGraph.Density(graph);
        tell(new Notice("info", $"skills graph learned by {runs} runs of {options.Steps} steps, {runs * (double)options.Steps / parts.Stage.Steps:P0} of the run's tokens beside it; density {density:P0}; rows (source helps …): {string.Join(" | ", graph.Select(row => string.Join(' ', row.Select(entry => entry.ToString("0.##", System.Globalization.CultureInfo.InvariantCulture)))))}"));
        if (density is < 0.05 or > 0.95)
            tell(new Notice("warning", $"the skills graph is nearly {(density < 0.5 ? "empty: weights will follow the losses alone" : "complete: weights will be nearly equal")}; this grouping of the data leaves little to gain (Chen et al. 2023, section 3)"));
    }
}
