using Perennial.Evaluation.Events;
using Perennial.Training;

namespace Perennial.Cli.Launch;

/// <summary>Whether every committed step learned from the stream's next samples, each once, whoever was lost on the way.</summary>
/// <param name="Steps">Steps whose samples were recorded.</param>
/// <param name="Samples">Their samples.</param>
/// <param name="Refused">Batches that the spike policy left out, which is recorded too.</param>
/// <param name="Lost">Samples that the stream held for a step and nobody learned from: what the policy <c>drop-replica</c> costs.</param>
/// <param name="Wrong">Steps that took samples which the stream does not hold for them, or one of them twice.</param>
/// <param name="Unrecorded">Steps at the run's end that the record says nothing of.</param>
internal sealed record SampleAudit(int Steps, long Samples, int Refused, long Lost, IReadOnlyList<long> Wrong, long Unrecorded)
{
    /// <summary>Compares a run's record with its stream.</summary>
    /// <param name="events">The run's events (<c>metrics.jsonl</c>); where a step was told twice, the last telling counts.</param>
    /// <param name="batch">The samples of the stream's n-th batch, from 0.</param>
    /// <param name="trained">The step that this launch began after, and the last one that it committed.</param>
    public static SampleAudit Of(IEnumerable<RunEvent> events, Func<long, IReadOnlyList<long>> batch, (long First, long Last) trained)
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
        var (wrong, next, left, lost) = (new List<long>(), 0L, 0, 0L);
        for (var step = 1L; step <= last; step++)
        {
            for (; refused.TryGetValue(step, out var list) && list.Any(ids => ids.SequenceEqual(batch(next))); left++) next++;
            if (committed.TryGetValue(step, out var ids))
            {
                // Which process took which is free; the step's samples as a whole are not.
                var rest = new List<long>(batch(next));
                if (!ids.All(rest.Remove)) wrong.Add(step);
                else lost += rest.Count;
            }
            next++;
        }
        return new SampleAudit(committed.Count, committed.Values.Sum(ids => (long)ids.Count), left, lost, wrong, Math.Max(0, trained.Last - committed.Keys.Append(trained.First).Max()));
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
    public override string ToString() => Unrecorded > 0
        ? $"audit: {MetricsFile.Name} says nothing of the last {Unrecorded:N0} steps, so their samples are not known; please report this"
        : Wrong.Count > 0
        ? $"audit: {Wrong.Count} of {Steps} steps did not take the samples that the stream holds for them, the first is step {Wrong[0]}; please report this"
        : $"audit: {Samples:N0} samples of {Steps:N0} steps, {(Lost == 0 ? "none lost" : $"{Lost:N0} lost (the policy lets them go)")}, none twice{(Refused > 0 ? $" ({Refused} batches left out by on-spike)" : "")}";
}
