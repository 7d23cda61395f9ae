using System.Text.Json.Nodes;
using Perennial.Core;
using Perennial.Training;

namespace Perennial.Cli.Launch;

/// <summary>
/// A launched run's recoveries as <c>perennial simulate</c> reads them to calibrate its policies: <c>recoveries.json</c> of the run folder (see docs/simulate.md).
/// </summary>
/// <param name="name">Name of the run.</param>
/// <param name="policy">Its policy.</param>
/// <param name="workers">Its processes.</param>
/// <param name="time">The clock; the system's by default.</param>
internal sealed class RecoveryLog(string name, string policy, int workers, TimeProvider? time = null)
{
    /// <summary>The file's name.</summary>
    public const string FileName = "recoveries.json";

    private const double Forgotten = 10;
    private readonly TimeProvider time = time ?? TimeProvider.System;
    private readonly List<(JsonObject Phases, long LostSteps, double Partial)> events = [];
    private readonly SortedDictionary<long, double> checkpoints = [];
    private readonly List<(double Gap, double Away, int Ranks)> joins = [];
    private readonly Dictionary<long, int> samples = [];
    private long? start;
    private readonly SortedDictionary<int, (double Seconds, double Batches)> paces = [];
    private (double At, IReadOnlyList<int> Workers, double LastStepAt, long Step)? fault;
    private double lastStepAt, startedAt;
    private double? lostAt;
    private long last, first = -1, reached;
    private int ranks, most;
    private double? gap;

    private double Now => start is { } begun ? time.GetElapsedTime(begun).TotalSeconds : 0;

    /// <summary>Workers were hit just now.</summary>
    public void OnFault(IReadOnlyList<int> victims)
    {
        // One that led to no recovery (a newcomer was hit, or all at once) is not waited for.
        if (fault is null || Now - fault.Value.At > Forgotten) fault = (Now, victims, lastStepAt, last);
    }

    /// <summary>An event of the leader.</summary>
    public void OnEvent(RunEvent happened)
    {
        switch (happened)
        {
            case RunStarted e:
                if (first < 0) first = reached = e.StartStep;
                startedAt = Now;
                break;
            case SamplesCommitted e:
                most = Math.Max(most, e.ByRank.Count);
                samples[e.Step] = e.ByRank.Sum(ids => ids.Count);
                // Told right after its step: that step and the one before had the same ranks.
                if (gap is { } seconds && ranks == e.ByRank.Count)
                {
                    var pace = paces.GetValueOrDefault(ranks);
                    paces[ranks] = (pace.Seconds + seconds, pace.Batches + (double)samples[e.Step] / samples.Values.Max());
                }
                // The step with which all are there again.
                if (gap is { } longer && lostAt is { } lost && e.ByRank.Count > ranks && e.ByRank.Count == most)
                {
                    joins.Add((longer, Now - longer - lost, ranks));
                    lostAt = null;
                }
                (gap, ranks) = (null, e.ByRank.Count);
                break;
            case StepDone e:
                var isFirst = start is null;
                start ??= time.GetTimestamp();
                // A step that was committed before the fault and told after it.
                if (fault is { } hit && startedAt > hit.At && policy == "restart" && e.Step <= hit.Step + 1) Restarted(hit, e);
                // From one step to the next with all ranks: with what was done between them (snapshots, checkpoints, what is written of a step).
                gap = fault is null && !isFirst && e.Step == last + 1 && lastStepAt >= startedAt ? Now - lastStepAt : null;
                (last, lastStepAt, reached) = (e.Step, Now, Math.Max(reached, e.Step));
                break;
            case CheckpointWritten e:
                checkpoints[e.Step] = e.Seconds;
                break;
            case Recovered { IsGrowth: false } e when fault is { } struck:
                Elastic(struck, e);
                break;
        }
    }

    /// <summary>Writes the file; nothing where there was no recovery.</summary>
    public void Write(string folder)
    {
        if (events.Count == 0) return;
        var step = StepSeconds;
        var recoveries = events.Select(one =>
        {
            var (phases, partial) = (one.Phases.DeepClone(), Math.Min(one.Partial, step));
            (phases["again"], phases["partial"]) = (Math.Round(one.LostSteps * step + partial, 5), Math.Round(partial, 5));
            return phases;
        });
        var degraded = paces.Keys.Where(count => count < most && Pace(count) is not null).Select(count => (JsonNode)new JsonObject { ["ranks"] = count, ["step-seconds"] = Math.Round(Pace(count)!.Value, 5) });
        var run = new JsonObject
        {
            ["name"] = name, ["policy"] = policy, ["paths"] = workers, ["stages"] = 1, ["spares"] = 0, ["seconds"] = Math.Round(lastStepAt, 4), ["steps"] = reached - Math.Max(0, first), ["whole-steps"] = Math.Round(WholeSteps, 2),
            ["step-seconds"] = Math.Round(step, 5), ["degraded"] = new JsonArray([.. degraded]), ["checkpoint-steps"] = CheckpointSteps,
            ["checkpoint-seconds"] = checkpoints.Count == 0 ? 0 : Math.Round(checkpoints.Values.Average(), 5), ["respawn-seconds"] = Math.Round(RespawnSeconds, 5), ["join-seconds"] = Math.Round(JoinSeconds, 5), ["events"] = new JsonArray([.. recoveries]),
        };
        AtomicFile.WriteText(Path.Combine(folder, FileName), new JsonObject { ["runs"] = new JsonArray(run) }.ToJsonString(new() { WriteIndented = true }) + "\n");
    }

    private double StepSeconds => Pace(most) is { } whole ? Math.Max(1e-5, whole) : 0.001;

    // Seconds of a whole batch with so many ranks; null where none was timed.
    private double? Pace(int count) => paces.TryGetValue(count, out var pace) && pace.Batches > 0 ? pace.Seconds / pace.Batches : null;

    private double WholeSteps => samples.Count == 0 ? 0 : (reached - Math.Max(0, first)) * samples.Values.Average() / samples.Values.Max();

    // Whoever is ready waits for the end of the step under way: half of one in the mean.
    private double RespawnSeconds => joins.Count == 0 ? 0 : Math.Max(0.001, joins.Average(join => join.Away - (Pace(join.Ranks) ?? StepSeconds) / 2));

    private double JoinSeconds => joins.Count == 0 ? 0 : Math.Max(0.001, joins.Average(join => join.Gap) - StepSeconds);

    /// <summary>The usual distance of two checkpoints; the last one comes when the run ends.</summary>
    private long CheckpointSteps => checkpoints.Count < 2 ? 0 : checkpoints.Keys.Zip(checkpoints.Keys.Skip(1), (earlier, later) => later - earlier).Order().ElementAt((checkpoints.Count - 1) / 2);

    private void Elastic((double At, IReadOnlyList<int> Workers, double LastStepAt, long Step) hit, Recovered e)
    {
        var phases = e.Phases;
        var rest = phases.Agree + phases.Group + phases.Plan + phases.Move + Finite(phases.Replay);
        // The launcher knows when the fault was: what is not the later phases is detection. Who leads now and did not before has just begun.
        lostAt = hit.At;
        Add(hit, startedAt > hit.At, Math.Max(0, Now - hit.At - rest), phases.Agree, phases.Group, phases.Plan, phases.Move, Math.Max(0, Finite(phases.Replay) - StepSeconds), 0);
    }

    private void Restarted((double At, IReadOnlyList<int> Workers, double LastStepAt, long Step) hit, StepDone e) =>
        Add(hit, false, 0, 0, startedAt - hit.At, 0, 0, Math.Max(0, Now - startedAt - StepSeconds), Math.Max(0, hit.Step - e.Step + 1));

    private void Add((double At, IReadOnlyList<int> Workers, double LastStepAt, long Step) hit, bool leader, double detect, double agree, double group, double plan, double move, double replay, long lostSteps)
    {
        events.Add((new JsonObject
        {
            ["at"] = Math.Round(hit.At, 4), ["ranks"] = new JsonArray([.. hit.Workers.Select(worker => (JsonNode)worker)]), ["step"] = hit.Step, ["software"] = true, ["leader"] = leader,
            ["detect"] = Math.Round(detect, 5), ["agree"] = Math.Round(agree, 5), ["group"] = Math.Round(group, 5), ["plan"] = Math.Round(plan, 6),
            ["move"] = Math.Round(move, 5), ["replay"] = Math.Round(replay, 5),
        }, lostSteps, Math.Max(0, hit.At - hit.LastStepAt)));
        fault = null;
    }

    private static double Finite(double value) => double.IsFinite(value) ? value : 0;
}
