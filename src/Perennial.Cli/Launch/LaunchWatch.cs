using System.Diagnostics;
using System.Text.Json.Nodes;
using Perennial.Training;

namespace Perennial.Cli.Launch;

/// <summary>What a launched run went through: faults and recoveries.</summary>
internal sealed class LaunchWatch
{
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
        }
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
