using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using Perennial.Core;
using Perennial.Training;

namespace Perennial.Cli.Launch;

/// <summary>What a launched run went through: faults and recoveries.</summary>
/// <param name="restarts">Whether the policy starts all workers again.</param>
internal sealed class LaunchWatch(bool restarts)
{
    private readonly List<double> inPlace = [], again = [], ready = [], regained = [];
    private readonly List<Recovered> events = [];
    private long faultAt, behindAt, startedAt, last, before;
    private int awaited;
    private bool startsAgain;

    /// <summary>Faults that were made.</summary>
    public int Faults { get; private set; }

    /// <summary>Recoveries that were seen.</summary>
    public IReadOnlyList<Recovered> Recoveries => events;

    /// <summary>A fault was made just now.</summary>
    /// <param name="interrupts">Whether training stands still because of it.</param>
    /// <param name="everyone">Whether no worker is left.</param>
    public void OnFault(bool interrupts = true, bool everyone = false)
    {
        Faults++;
        if (!interrupts) return;
        // A second fault during a recovery counts from the first; one that hit a newcomer nobody waited for is forgotten.
        startsAgain = restarts || everyone || (faultAt != 0 && startsAgain);
        if (awaited > 0) return;
        (faultAt, before) = (Stopwatch.GetTimestamp(), last);
        if (behindAt == 0) behindAt = faultAt;
    }

    /// <summary>An event of the leader.</summary>
    public void OnEvent(RunEvent happened)
    {
        switch (happened)
        {
            case Recovered { IsGrowth: false } recovered:
                // What was changed without a fault has no phases of a recovery.
                if (faultAt != 0) events.Add(recovered);
                Stepped();
                Regained();
                break;
            case RunStarted when faultAt != 0:
                // A leader that takes over tells the last step again: the one after it is new.
                (awaited, startedAt) = (startsAgain ? 1 : 2, Stopwatch.GetTimestamp());
                break;
            case StepDone step:
                last = step.Step;
                if (awaited > 0 && --awaited == 0)
                {
                    if (faultAt != 0 && startsAgain) ready.Add(Stopwatch.GetElapsedTime(faultAt, startedAt).TotalSeconds);
                    Stepped();
                }
                if (faultAt == 0 && step.Step > before) Regained();
                break;
        }
    }

    /// <summary>
    /// Median seconds from a fault to the next committed step, and to the first step that had not been committed before the fault; of recoveries in place
    /// the median phases, of processes that started again the time until they could train. Null without any; what did not happen is left out.
    /// </summary>
    public JsonObject? Recovery()
    {
        List<double> stepping = [.. inPlace, .. again];
        if (stepping.Count == 0) return null;
        var told = new JsonObject { ["count"] = stepping.Count, ["fault_to_step_seconds"] = Median(stepping), ["slowest_seconds"] = stepping.Max(), ["fault_to_progress_seconds"] = Median(regained) };
        if (inPlace.Count > 0)
        {
            (told["in_place"], told["in_place_seconds"]) = (inPlace.Count, Median(inPlace));
            foreach (var (name, of) in Phases)
                if (events.Select(e => of(e.Phases)).Where(double.IsFinite).ToList() is { Count: > 0 } seconds) told[$"{name}_seconds"] = Median(seconds);
        }
        if (again.Count > 0) (told["started_again"], told["started_again_seconds"], told["ready_seconds"]) = (again.Count, Median(again), Median(ready));
        return told;
    }

    /// <summary>The same in words.</summary>
    public string? Words()
    {
        if (Recovery() is not { } told) return null;
        var words = string.Create(CultureInfo.InvariantCulture, $"recoveries: {told["count"]}, median {(double)told["fault_to_step_seconds"]!:F2} s from fault to next step, {(double)told["fault_to_progress_seconds"]!:F2} s to new progress");
        if (inPlace.Count > 0)
            words += string.Create(CultureInfo.InvariantCulture, $"; {inPlace.Count} in place, median {Median(inPlace):F2} s ({string.Join(", ", Phases.Where(phase => told.ContainsKey($"{phase.Name}_seconds")).Select(phase => string.Create(CultureInfo.InvariantCulture, $"{phase.Name} {(double)told[$"{phase.Name}_seconds"]! * 1000:F1}")))} ms)");
        if (again.Count > 0) words += string.Create(CultureInfo.InvariantCulture, $"; {again.Count} by processes that started again, median {Median(again):F2} s ({Median(ready):F2} s of it until they could train)");
        return words;
    }

    private static readonly (string Name, Func<RecoveryPhases, double> Of)[] Phases =
        [("detect", p => p.Detect), ("agree", p => p.Agree), ("group", p => p.Group), ("plan", p => p.Plan), ("move", p => p.Move), ("replay", p => p.Replay)];

    private void Stepped()
    {
        if (faultAt == 0) return;
        (startsAgain ? again : inPlace).Add(Stopwatch.GetElapsedTime(faultAt).TotalSeconds);
        (faultAt, awaited) = (0, 0);
    }

    private void Regained()
    {
        if (behindAt == 0 || faultAt != 0) return;
        regained.Add(Stopwatch.GetElapsedTime(behindAt).TotalSeconds);
        behindAt = 0;
    }

    private static double Median(IEnumerable<double> values) => Quantile.Median(values.Where(double.IsFinite).DefaultIfEmpty(0));
}
