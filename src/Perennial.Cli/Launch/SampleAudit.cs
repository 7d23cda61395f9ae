using Perennial.Evaluation.Events;
using Perennial.Training;

namespace Perennial.Cli.Launch;

/// <summary>Whether every committed step learned from the stream's next samples, each once, whoever was lost on the way.</summary>
/// <param name="Steps">Steps whose samples were recorded.</param>
/// <param name="Samples">Their samples.</param>
/// <param name="Refused">Batches that the spike policy left out, which is recorded too.</param>
/// <param name="Wrong">Steps whose samples are not those that the stream holds for them, in order.</param>
internal sealed record SampleAudit(int Steps, long Samples, int Refused, IReadOnlyList<long> Wrong)
{
    /// <summary>Compares a run's record with its stream.</summary>
    /// <param name="events">The run's events (<c>metrics.jsonl</c>); where a step was told twice, the last telling counts.</param>
    /// <param name="batch">The samples of the stream's n-th batch, from 0.</param>
    public static SampleAudit Of(IEnumerable<RunEvent> events, Func<long, IReadOnlyList<long>> batch)
    {
        var (committed, refused, last) = (new Dictionary<long, IReadOnlyList<long>>(), new Dictionary<long, List<IReadOnlyList<long>>>(), 0L);
        foreach (var happened in events)
        {
            if (happened is StepDone done) last = Math.Max(last, done.Step);
            if (happened is SamplesCommitted samples) committed[samples.Step] = [.. samples.ByRank.SelectMany(ids => ids)];
            if (happened is not StepRefused no) continue;
            if (!refused.TryGetValue(no.Step, out var list)) refused[no.Step] = list = [];
            list.Add(no.SampleIds);
        }
        var (wrong, next, left) = (new List<long>(), 0L, 0);
        for (var step = 1L; step <= last; step++)
        {
            for (; refused.TryGetValue(step, out var list) && list.Any(ids => ids.SequenceEqual(batch(next))); left++) next++;
            if (committed.TryGetValue(step, out var ids) && !ids.SequenceEqual(batch(next))) wrong.Add(step);
            next++;
        }
        return new SampleAudit(committed.Count, committed.Values.Sum(ids => (long)ids.Count), left, wrong);
    }

    /// <summary>The events of a run folder; none where there is no record.</summary>
    public static IEnumerable<RunEvent> Recorded(string folder)
    {
        var path = Path.Combine(folder, "metrics.jsonl");
        if (!File.Exists(path)) yield break;
        foreach (var line in File.ReadLines(path))
        {
            if (RunEventReader.Read(line) is { } happened) yield return happened;
        }
    }

    /// <inheritdoc/>
    public override string ToString() => Wrong.Count > 0
        ? $"audit: {Wrong.Count} of {Steps} steps did not take the samples that the stream holds for them, the first is step {Wrong[0]}; please report this"
        : $"audit: {Samples:N0} samples of {Steps:N0} steps, none lost, none twice{(Refused > 0 ? $" ({Refused} batches left out by on-spike)" : "")}";
}
