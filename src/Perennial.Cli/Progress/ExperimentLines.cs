using Perennial.Experiments.Runs;

namespace Perennial.Cli.Progress;

/// <summary>Tells an experiment's progress in plain lines, one a finished run.</summary>
/// <param name="output">Where to.</param>
internal sealed class ExperimentLines(TextWriter output) : IExperimentObserver
{
    public void Observe(ExperimentEvent happened)
    {
        var line = happened switch
        {
            ExperimentStarted e => $"{e.Runs} runs ({e.Tier}), seeds {string.Join(", ", e.Seeds)}, in {e.Folder}",
            TrialFinished e => $"{e.Done}/{e.Runs} {e.Name}{(e.Recorded ? " (recorded before)" : "")}{(e.SecondsLeft is { } left ? $", about {TimeSpan.FromSeconds(Math.Ceiling(left)):c} left" : "")}",
            TuningFinished e => $"tuned {e.Key}: {string.Join(", ", e.Tried.Select(one => $"{one.Value} → {one.Mean:F4}"))}; chosen {e.Chosen}",
            ExperimentFinished e => $"page: {e.Page}",
            _ => null,
        };
        if (line is null) return;
        lock (output) output.WriteLine(line);
    }
}
