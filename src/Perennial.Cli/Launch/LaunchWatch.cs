using System.Diagnostics;
using System.Text.Json.Nodes;
using Perennial.Training;

namespace Perennial.Cli.Launch;

/// <summary>What a launched run went through: faults and recoveries.</summary>
/// <param name="restarts">Whether the policy starts all workers again.</param>
internal sealed class LaunchWatch(bool restarts)
{
    private readonly List<double> stepping = [], regained = [];
    private readonly List<Recovered> events = [];
    private long faultAt, behindAt, last, before;
    private int awaited;

    /// <summary>Faults that were made.</summary>
    public int Faults { get; private set; }

    /// <summary>Recoveries that were seen.</summary>
    public IReadOnlyList<Recovered> Recoveries => events;

    /// <summary>A fault was made just now.</summary>
    /// <param name="interrupts">Whether training stands still because of it.</param>
    public void OnFault(bool interrupts = true)
    {
        Faults++;
        if (!interrupts) return;
        // A second fault during a recovery counts from the first; one that hit a newcomer nobody waited for is forgotten.
        if (awaited > 0) return;
        (faultAt, before) = (Stopwatch.GetTimestamp(), last);
        if (behindAt == 0) behindAt = faultAt;
    }

    /// <summary>An event of the leader.</summary>
    public void OnEvent(RunEvent happened)
    {
        switch (happened)
        {
            case Recovered recovered:
                events.Add(recovered);
                Stepped();
                Regained();
                break;
            case RunStarted when faultAt != 0:
                // A leader that takes over tells the last step again: the one after it is new.
                awaited = restarts ? 1 : 2;
                break;
            case StepDone step:
                last = step.Step;
                if (awaited > 0 && --awaited == 0) Stepped();
                if (faultAt == 0 && step.Step > before) Regained();
                break;
        }
    }

    /// <summary>
    /// Median seconds from a fault to the next committed step, and to the first step that had not been committed before the fault; the median phases of
    /// recoveries. Null without any.
    /// </summary>
    public JsonObject? Recovery()
    {
        if (stepping.Count == 0) return null;
        return new JsonObject
        {
            ["count"] = stepping.Count, ["fault_to_step_seconds"] = Median(stepping), ["slowest_seconds"] = stepping.Max(), ["fault_to_progress_seconds"] = Median(regained),
            ["detect_seconds"] = Median(events.Select(e => e.Phases.Detect)), ["agree_seconds"] = Median(events.Select(e => e.Phases.Agree)),
            ["group_seconds"] = Median(events.Select(e => e.Phases.Group)), ["plan_seconds"] = Median(events.Select(e => e.Phases.Plan)),
            ["move_seconds"] = Median(events.Select(e => e.Phases.Move)), ["replay_seconds"] = Median(events.Select(e => e.Phases.Replay)),
        };
    }

    private void Stepped()
    {
        if (faultAt == 0) return;
        stepping.Add(Stopwatch.GetElapsedTime(faultAt).TotalSeconds);
        (faultAt, awaited) = (0, 0);
    }

    private void Regained()
    {
        if (behindAt == 0 || faultAt != 0) return;
        regained.Add(Stopwatch.GetElapsedTime(behindAt).TotalSeconds);
        behindAt = 0;
    }

    private static double Median(IEnumerable<double> values)
    {
        var sorted = values.Where(double.IsFinite).Order().ToList();
        return sorted.Count == 0 ? 0 : (sorted[(sorted.Count - 1) / 2] + sorted[sorted.Count / 2]) / 2;
    }
}
