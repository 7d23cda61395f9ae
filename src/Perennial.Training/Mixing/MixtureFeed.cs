using Perennial.Data.Mixtures;
using Perennial.Training.Loop;
using Perennial.Training.Parallel;
using static TorchSharp.torch;

namespace Perennial.Training.Mixing;

/// <summary>
/// Asks the mixture when a step needs samples that it has not decided on yet. A decision belongs to the step that needs it: it enters the
/// state when that step is committed, and is made again (from the same weights: the same decision) when the step is lost.
/// </summary>
/// <param name="parts">The run.</param>
/// <param name="replicas">The processes: the leader's losses count.</param>
/// <param name="tell">Told of decisions.</param>
internal sealed class MixtureFeed(RunParts parts, IReplicas replicas, Action<RunEvent> tell)
{
    private SourceProbe? probe;
    private int stage = -1;

    /// <summary>What the present stage's mixture decided so far, the present step's decision included.</summary>
    public MixtureRecord? Record { get; private set; }

    /// <summary>Has the streams follow the state, where it was replaced or its stage changed.</summary>
    public void Synchronize()
    {
        var progress = parts.State.Progress;
        if (stage == progress.Stage && ReferenceEquals(progress.Mixture, Record)) return;
        if (stage != progress.Stage) probe = null;
        for (var earlier = 0; earlier < (progress.EarlierMixtures?.Count ?? 0); earlier++) parts.Stages[earlier].Stream.Replay(progress.EarlierMixtures![earlier]);
        parts.Stream.Replay(progress.Mixture);
        (Record, stage) = (progress.Mixture, progress.Stage);
    }

    /// <summary>Has every position below <paramref name="end"/> decided.</summary>
    /// <param name="end">A position.</param>
    /// <param name="learn">Learns a graph of sources by short runs; leaves the training state as it was.</param>
    public void Reach(long end, Func<GraphLearningOptions, SourceProbe, double[][]> learn)
    {
        Synchronize();
        while (parts.Stream.Decided < end)
        {
            var segment = parts.Stream.Decide(parts.Stream.Mixture.IsOnline ? Losses(learn) : null);
            Record = parts.Stream.Record();
            if (Record is null) continue;
            var total = segment.Weights.Sum();
            double[] shares = [.. segment.Weights.Select(weight => weight / total)];
            var entropy = shares.Length < 2 ? 1 : -shares.Where(share => share > 0).Sum(share => share * Math.Log(share)) / Math.Log(shares.Length);
            tell(new MixtureChosen(parts.State.Progress.Step, segment.From, shares, segment.Losses, entropy));
        }
    }

    private double[] Losses(Func<GraphLearningOptions, SourceProbe, double[][]> learn)
    {
        if (probe is null)
        {
            probe = parts.Probe(parts.Stage);
            tell(new Notice("info", $"the mixture measures {probe.Tokens:N0} held-out tokens each time{(parts.Recipe.Data.Probe > 0 ? ", which reports leave out" : "; they are also reported: set data.probe to keep them apart")}"));
        }
        if (parts.Stream.Mixture is IGraphMixture { Wanted: { } how } wanting) wanting.Take(learn(how, probe));
        using var _ = no_grad();
        using var scope = NewDisposeScope();
        return replicas.Agree(replicas.IsLeader ? probe.Losses(parts.Model) : new double[parts.Stream.Windows.Count]);
    }
}
