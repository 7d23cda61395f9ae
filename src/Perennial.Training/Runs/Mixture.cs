using Perennial.Training.Loop;

namespace Perennial.Training.Runs;

/// <summary>What share of the samples each source was to give, and gave.</summary>
internal static class Mixture
{
    /// <summary>The shares so far; null for a single source.</summary>
    public static MixtureMeasured? Measure(RunParts parts)
    {
        var (progress, sources) = (parts.State.Progress, parts.Stage.Recipe.Recipe.Data.Sources);
        if (sources.Count(source => source.Weight > 0) < 2) return null;
        var (delivered, promised) = (parts.Stream.Delivered(progress.Cursor), parts.Stream.Promised(progress.Cursor));
        var total = (double)Math.Max(1, delivered.Sum());
        return new(progress.Step, [.. delivered.Select((count, i) => new MixtureShare(
            sources[i].Path, promised[i] / total, count / total, count * parts.Config.Context, count / (double)Math.Max(1, parts.Stream.Windows[i])))]);
    }
}
