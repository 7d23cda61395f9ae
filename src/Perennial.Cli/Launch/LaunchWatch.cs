using System.Diagnostics;
using System.Text.Json.Nodes;
using Perennial.Training;

namespace Perennial.Cli.Launch;

/// <summary>What a launched run went through: faults, recoveries, and whether every sample was learned from once.</summary>
internal sealed class LaunchWatch
{
    private readonly Dictionary<long, IReadOnlyList<long>> samples = [];
    private readonly List<double> recoveries = [];
    private readonly List<Recovered> events = [];
    private long faultAt;
    private bool recovering;

    /// <summary>Faults that were made.</summary>
    public int Faults { get; private set; }

    /// <summary>A fault was made just now.</summary>
    public void OnFault()
    {
        Faults++;
        // A second fault during a recovery counts from the first; one that hit a newcomer nobody waited for is forgotten.
        if (!recovering) faultAt = Stopwatch.GetTimestamp();
    }

    /// <summary>An event of the leader.</summary>
    public void OnEvent(RunEvent happened)
    {
        switch (happened)
        {
            case Recovered recovered:
                events.Add(recovered);
                recovering = true;
                break;
            case StepDone when recovering && faultAt != 0:
                recoveries.Add(Stopwatch.GetElapsedTime(faultAt).TotalSeconds);
                (recovering, faultAt) = (false, 0);
                break;
            case SamplesCommitted committed:
                samples[committed.Step] = [.. committed.ByRank.SelectMany(ids => ids)];
                break;
        }
    }

    /// <summary>Compares what was committed with what the stream holds for every step.</summary>
    /// <param name="steps">Committed steps of the whole run.</param>
    /// <param name="expected">The samples of a step in a run without refusals.</param>
    public SampleAudit Audit(long steps, Func<long, IReadOnlyList<long>> expected)
    {
        var wrong = samples.Where(pair => pair.Key <= steps && !pair.Value.SequenceEqual(expected(pair.Key))).Select(pair => pair.Key).Order().ToList();
        return new SampleAudit(samples.Count, samples.Values.Sum(ids => (long)ids.Count), wrong);
    }

    /// <summary>Median seconds from a fault to the next committed step, and the median phases of recoveries; null without any.</summary>
    public JsonObject? Recovery()
    {
        if (recoveries.Count == 0) return null;
        return new JsonObject
        {
            ["count"] = recoveries.Count, ["fault_to_step_seconds"] = Median(recoveries), ["slowest_seconds"] = recoveries.Max(),
            ["agree_seconds"] = Median(events.Select(e => e.AgreeSeconds)), ["group_seconds"] = Median(events.Select(e => e.GroupSeconds)), ["state_seconds"] = Median(events.Select(e => e.StateSeconds)),
        };
    }

    private static double Median(IEnumerable<double> values)
    {
        var sorted = values.Order().ToList();
        return sorted.Count % 2 == 1 ? sorted[sorted.Count / 2] : (sorted[sorted.Count / 2 - 1] + sorted[sorted.Count / 2]) / 2;
    }
}

/// <summary>What the audit of samples found.</summary>
/// <param name="Steps">Steps whose samples were seen.</param>
/// <param name="Samples">Their samples.</param>
/// <param name="Wrong">Steps whose samples are not those of the stream, in order.</param>
internal sealed record SampleAudit(int Steps, long Samples, IReadOnlyList<long> Wrong);
