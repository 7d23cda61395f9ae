using System.Diagnostics;
using System.IO.Hashing;
using System.Text;
using Perennial.Core;
using Perennial.Core.Recipes;
using Perennial.Resilience.Groups;
using Perennial.Tensors;
using Perennial.Training.Bench;
using Perennial.Training.Loop;
using Perennial.Training.Parallel;
using Perennial.Training.Practices;
using Perennial.Training.Recipes;
using Perennial.Training.State;

namespace Perennial.Training.Runs;

/// <summary>
/// One process's part in a run under a parallel shape. The rank 0 of the present shape leads: it writes the run folder. Checkpoints are everyone's. When
/// a process is lost, the others go on in the best shape that they can run, with the lost one's share among them, and in the recipe's again when it is
/// complete; or, where the recipe says so, they wait for its successor.
/// </summary>
internal sealed class FixedSession : IRunSession
{
    private readonly RunParts parts;
    private readonly RunFolder folder;
    private readonly TrainingRunOptions options;
    private readonly Action<RunEvent> observers;
    private readonly bool waits;
    private readonly FixedRun run;
    private readonly FixedDisk disk;
    private readonly FixedPlanner planner;
    private readonly FixedRecall recall;
    private readonly StageBalance? balance;
    private readonly List<FixedPart> held = [];
    private readonly List<Recovered> recoveries = [];
    private FixedPart? part, telling;
    private SavingSchedule saving;
    private double ceiling;
    private StagePace pace;
    private int processes;
    private long replayed;
    private bool leads;
    private RunResult? told;

    public FixedSession(RunParts parts, RunFolder folder, TrainingRunOptions options, Action<RunEvent> observers, long? earlierSteps, CancellationToken cancellation)
    {
        (this.parts, this.folder, this.options, this.observers) = (parts, folder, options, observers);
        waits = parts.Recipe.Parallel!.Reshape == ReshapeChoice.Wait;
        saving = Schedule();
        run = new FixedRun(folder, options, new FixedWorld(options.Parallel!, waits, cancellation), Tell, step => saving.SnapshotDue(step), cancellation);
        disk = new FixedDisk(folder, earlierSteps, Tell);
        planner = new FixedPlanner(parts, parts.Recipe.Parallel.Shape);
        recall = new FixedRecall(run, parts);
        balance = parts.Recipe.Resilience.Balance == BalanceChoice.Measured && !waits ? new StageBalance(planner, run.World) : null;
        held.Add(telling = new FixedPart(parts, run));
    }

    private FixedPart Part => part ?? throw new InvalidOperationException("this process has no place");

    private Progress Progress => Part.Progress;

    private TrainingLoop Loop => Part.Loop;

    private ICommunicator World => Part.World;

    private bool IsLeader => Part.IsLeader;

    /// <inheritdoc/>
    public RunResult Run()
    {
        var (lost, isFirst) = ((CommunicatorException?)null, true);
        while (true)
        {
            try
            {
                if (!Bring(lost, isFirst)) return Ended(completed: true);
                (lost, isFirst) = (null, false);
                if (part is null)
                {
                    run.World.AwaitNews();
                    continue;
                }
                if (Steps() is not { } completed) continue;
                var result = Finish(completed);
                part.Replicas.Await();
                return result;
            }
            catch (CommunicatorException failure)
            {
                // What is told is saved: who is lost then is not waited for.
                if (told is not null && !waits) return told;
                lost = failure;
            }
            catch (OperationCanceledException) when (run.Cancellation.IsCancellationRequested)
            {
                return Ended(completed: false);
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var each in held) each.Dispose();
        run.World.Dispose();
    }

    private void Tell(RunEvent happened)
    {
        if (telling?.IsLeader == true) observers(happened);
    }

    /// <summary>Brings the processes together and into one state and shape, until it holds; false where the run has ended without this process.</summary>
    private bool Bring(CommunicatorException? lost, bool isFirst)
    {
        var (first, isWaiting) = (lost, false);
        // The call that failed had waited for so long: the loss is at most as long ago.
        var detected = lost is null || part is not { Replicas.Called: > 0 and var called } ? 0 : Stopwatch.GetElapsedTime(called).TotalSeconds;
        while (true)
        {
            try
            {
                foreach (var each in held) each.Leave();
                // Parts that were made for a place and never had a state are not kept.
                if (!isFirst) Keep(each => each.HasState || each.Parts == parts);
                var all = lost is not null ? run.World.Rejoin(lost, Suspects(lost)) : isFirst ? run.World.Join() : run.World.Regroup(isWaiting);
                (lost, isFirst) = (null, false);
                var clock = Stopwatch.GetTimestamp();
                var roll = RollCall.Take(all, Mine());
                if (!roll.HasBegun && all.Size >= parts.Recipe.Parallel!.Shape.Ranks)
                {
                    if (recall.Take(all, [.. roll.Present.Select(one => one.Node)]) is { } recalled) held.Add(recalled);
                    roll = RollCall.Take(all, Mine());
                }
                if (planner.Agree(all, roll, run.World.Orders) is not { } plan)
                {
                    if (!roll.HasBegun && disk.Newest >= Math.Min(parts.TotalSteps, options.StopAtStep ?? long.MaxValue)) return false;
                    isWaiting = true;
                    continue;
                }
                var next = Place(plan, plan.Places[all.Rank]);
                var planned = Stopwatch.GetElapsedTime(clock).TotalSeconds;
                Establish(all, roll, plan, next, first, (detected, planned, clock));
                return true;
            }
            catch (CommunicatorException again)
            {
                lost = again;
                first ??= again;
            }
        }
    }

    private Presence Mine()
    {
        // What was measured under one shape holds until enough is measured under another.
        if (part is { Decoder.Clock.Pace: { Layer: > 0 } measured }) pace = measured;
        return new([.. held.SelectMany(each => each.Held)], options.Parallel!.Node, options.Parallel.StateBytes ?? FixedPlanner.MachineBytes, processes > 0) { Pace = pace };
    }

    /// <summary>The part for a place: the one that is there, or another; null where this process stands by.</summary>
    private FixedPart? Place(FixedPlan plan, int place)
    {
        if (place < 0) return null;
        if (held.FirstOrDefault(each => each.Fits(plan, place)) is { } fitting) return fitting;
        var made = new FixedPart(parts.Under(new ParallelPlace(plan.Shape, place, plan.Cut.Cut)), run);
        if (part is not null) made.Loop.Follow(part.Loop);
        held.Add(made);
        return made;
    }

    /// <summary>Everyone takes its place and has its state when this returns; what belonged to the old shape is freed.</summary>
    private void Establish(ICommunicator all, RollCall roll, FixedPlan plan, FixedPart? next, CommunicatorException? lost, (double Detected, double Planned, long Clock) since)
    {
        var order = plan.Order;
        var rank = Enumerable.Range(0, order.Count).First(at => order[at] == all.Rank);
        var everyone = order.SequenceEqual(Enumerable.Range(0, all.Size)) ? all : all.Split(0, rank)!;
        var placed = plan.Shape.Ranks == all.Size ? everyone : everyone.Split(next is null ? -1 : 0, rank);
        telling = next;
        next?.Decoder.Join(placed!);
        next?.State.Meet(everyone);
        var layout = next?.State.Layout ?? ShardedState.Listen(new ParallelPlace(plan.Shape, 0, plan.Cut.Cut).Placement(parts.Recipe, parts.Config), everyone);
        next?.Memory?.Meet(placed!, options.Parallel!.Node);
        var begins = next is { HasState: false };
        if (begins && next!.IsLeader && part is null) disk.Open();
        // Others went on without this process: whoever led them has taken the run folder over, and it must be taken back.
        var newest = held.SelectMany(each => each.Lineages).DefaultIfEmpty(0).Max();
        if (roll.Present.SelectMany(one => one.Held).Any(other => other.Lineage > newest)) leads = false;
        var how = new FixedTakeover(run, parts, disk, held, next, everyone, roll.Ordered(order), plan, layout).Take();
        TellAlarms();
        disk.NoteMemory(next);
        next?.Completed(run.World.Epoch);
        next?.Memory?.Join();
        // From here on everyone has what it needs, and what it had before is not needed any more.
        everyone.Barrier();
        if (next is not null) next.Lineages = [run.World.Epoch];
        var before = part;
        part = next;
        Keep(each => each == next);
        run.World.Need(order.Take(plan.Shape.Ranks));
        balance?.Begin(roll, plan, run.World.Orders);
        // The new recipe is written when what it goes on from is settled: a kill in between settles it again.
        if (begins && before is null && part is { IsLeader: true }) folder.WriteRecipe(parts.Recipe);
        var changed = roll.Arrangements() is [var earlier, ..] && earlier.Cut != plan.Cut;
        Start(lost, changed ? $"{how}; going on as {plan}{(plan.Spares > 0 ? $", {plan.Spares} standing by" : "")}{plan.Measured}" : how, changed, new RecoveryPhases(since.Detected, run.World.Phases.Agree, run.World.Phases.Group, since.Planned, Stopwatch.GetElapsedTime(since.Clock).TotalSeconds - since.Planned, double.NaN), all.Size);
    }

    private IEnumerable<int> Suspects(CommunicatorException lost) => lost is { Failure: CommunicatorFailure.PeerLost, Peer: { } peer } && part is not null ? part.Decoder.Suspects(peer) : [];

    private void Keep(Func<FixedPart, bool> which)
    {
        foreach (var each in held.Where(each => !which(each)).ToList())
        {
            if (telling == each) telling = null;
            if (part == each) part = null;
            held.Remove(each);
            each.Dispose();
        }
    }

    private void Start(CommunicatorException? lost, string how, bool changed, RecoveryPhases phases, int now)
    {
        var before = processes;
        processes = now;
        if (part is not { IsLeader: true })
        {
            leads = false;
            return;
        }
        // What is measured is one process's; all together can do as many times that.
        if (ceiling == 0 && options.MeasureCeiling is { } measure) ceiling = new RunMeasurements(folder.Path).Ceiling(parts.Model.Precision, measure);
        // What was told of another step than the present one is not told again.
        if (!Loop.LastTold.OfType<StepDone>().Any(done => done.Step == Progress.Step)) Loop.Forget();
        if (!leads)
        {
            // A leader that was lost may not have told of the last step any more.
            var takesOver = Loop.LastTold.Count > 0;
            Tell(new RunStarted(folder.Path, RecipeWriter.ToYaml(parts.Recipe), Part.Decoder.Placement.Global.Length, parts.TotalSteps, parts.TokensPerStep, Progress.Step - (takesOver ? 1 : 0),
                TrainingFlops.PerToken(parts.Config, parts.Config.Context), Ceiling, RunFacts.Of(Part.Parts, options.Yardsticks ? new RunMeasurements(folder.Path) : null)));
            foreach (var last in Loop.LastTold) Tell(last);
            leads = true;
        }
        if (before == 0 || told is not null || (lost is null && !changed && now >= before)) Tell(new Notice("info", how));
        else
        {
            // Told together with how long the step took that is done again.
            recoveries.Add(new Recovered(Progress.Step, run.World.Epoch, before, now, $"{lost?.Message ?? run.World.Reason}; {how}", phases, DateTimeOffset.UtcNow));
            replayed = Stopwatch.GetTimestamp();
        }
    }

    /// <summary>Trains; whether to the planned end, or null where there is a newer membership to go over to.</summary>
    private bool? Steps()
    {
        long Every(RunLength length) => length.ToSteps(parts.TotalSteps, parts.TokensPerStep);
        var evaluateEvery = Every(parts.Recipe.Evaluation.Every);
        // Ranks that were there before and new ones measure alike.
        saving = Schedule();
        while (Progress.Step < parts.TotalSteps)
        {
            if (Progress.Step >= options.StopAtStep) return false;
            var clock = Stopwatch.GetTimestamp();
            TakeStep();
            saving.Note(Stopwatch.GetElapsedTime(clock).TotalSeconds);
            TellRecoveries();
            if (Part.Writer.Poll() is { } finished) Tell(finished);
            // Where only checkpoints outlive this process, one that failed ends the run at once; else all ranks settle it before the next.
            if (Part.Memory is null && Part.Writer.Problem is { } failed) throw PerennialException.Failed(failed);
            var step = Progress.Step;
            if (Loop.Agreement.Snapshot) Part.Memory!.Snapshots.Offer();
            TellAlarms();
            var begun = Stopwatch.GetTimestamp();
            // The last one too: whoever is lost while the end is evaluated loses no step.
            if (saving.CheckpointDue(step) || saving.IsDeciding || step == Part.Parts.TrunkStep || step == parts.TotalSteps) disk.Write(Part);
            if (saving.IsDeciding) Decide(Stopwatch.GetElapsedTime(begun).TotalSeconds);
            if (step == parts.TotalSteps || (evaluateEvery > 0 && step % evaluateEvery == 0)) Evaluate();
            if (Loop.Agreement.Stop) return step >= parts.TotalSteps;
            balance?.AfterStep(World, Part.Decoder.Clock.Pace);
            if (!Loop.Agreement.Regroup || step >= parts.TotalSteps || step >= options.StopAtStep) continue;
            disk.Settle(Part);
            // Nobody leaves before everyone has the step.
            World.Barrier();
            return null;
        }
        return true;
    }

    /// <summary>The leader works out how often to save, and everyone does as it says.</summary>
    private void Decide(double checkpointStall)
    {
        var memory = Part.Memory;
        var snapshots = memory is { Snapshots: { Account: { Taken: > 0 } account, Protection: { } protection } } ? (Protection: ((int, int)?)protection, Stall: account.Stall / account.Taken) : (null, 0);
        if (IsLeader) foreach (var line in saving.Decide(memory?.Nodes ?? 1, snapshots.Protection, memory?.Bytes ?? 0, snapshots.Stall, checkpointStall)) Tell(new Notice("info", line));
        long[] decided = [saving.Decided.Snapshot, saving.Decided.Checkpoint];
        World.Broadcast<long>(decided, 0);
        saving.Take((decided[0], decided[1]));
    }

    private void TakeStep()
    {
        try
        {
            Loop.Step(Progress.Step - Math.Max(0, Part.Writer.DurableStep));
        }
        catch (PerennialException) when (Loop.IsStopped)
        {
            disk.Save(Part);
            throw;
        }
    }

    private void TellRecoveries()
    {
        for (var i = 0; i < recoveries.Count; i++)
            Tell(i < recoveries.Count - 1 ? recoveries[i] : recoveries[i] with { Phases = recoveries[i].Phases with { Replay = Stopwatch.GetElapsedTime(replayed).TotalSeconds } });
        recoveries.Clear();
    }

    private RunResult Finish(bool completed)
    {
        if (told is not null) return told;
        foreach (var recovered in recoveries) Tell(recovered);
        recoveries.Clear();
        if (completed && parts.Texts.All is not null && Progress.Step == parts.TotalSteps && IsLeaderWithout()) Evaluate();
        disk.Save(Part);
        if (Part.Memory is { Snapshots.Account: { Taken: > 0 } account }) Tell(new Notice("info", $"memory snapshots: {account.Taken} taken, {account.Skipped} skipped, the steps waited {account.Stall:F2} s for them"));
        TellAlarms();
        var speed = Loop.Work.Seconds > 0 ? Loop.Work.Tokens / Loop.Work.Seconds : 0;
        var result = new RunResult
        {
            Completed = completed, Step = Progress.Step, Tokens = Progress.Tokens, Loss = Progress.LastLoss, BitsPerByte = Part.HeldOut.BitsPerByte, TokensPerSecond = speed,
            Mfu = Ceiling > 0 ? speed * TrainingFlops.PerToken(parts.Config, parts.Config.Context) / Ceiling : 0, StateHash = Hash(),
        };
        Tell(new RunFinished(result));
        return told = result;
    }

    /// <summary>What a process without a place says of a run that ended: the others tell the rest.</summary>
    private RunResult Ended(bool completed)
    {
        var step = Math.Max(0, disk.Newest);
        return told ?? new RunResult { Completed = completed && step >= parts.TotalSteps, Step = step, Tokens = step * parts.TokensPerStep, Loss = double.NaN, TokensPerSecond = 0, Mfu = 0, StateHash = "" };
    }

    /// <summary>Whether the leader has scored nothing yet; asked of everyone, for all take part in an evaluation.</summary>
    private bool IsLeaderWithout()
    {
        long[] without = [IsLeader && Part.HeldOut.BitsPerByte is null ? 1 : 0];
        World.Broadcast<long>(without, 0);
        return without[0] == 1;
    }

    private void Evaluate()
    {
        // Practices lend their weights to the model while they are scored.
        Part.Memory?.Snapshots.WaitCopied();
        var (mine, service) = (Part.Parts, Part.HeldOut);
        if (!mine.Practices.OfType<EvaluatePractice>().Any()) service.Evaluate("raw");
        if (mine.Optimizer.Derived is { } derived) service.Evaluate(derived, mine.Optimizer.Slots);
        foreach (var practice in mine.Practices) practice.AtInterval(Loop.Context);
        service.Gather();
        if (service.Model is { } model)
            foreach (var prompt in parts.Recipe.Evaluation.Prompts) Tell(new SampleWritten(Progress.Step, prompt, SampleText.Write(mine, prompt, model)));
        if (Mixture.Measure(mine) is { } measured) Tell(measured);
        TorchRuntime.ReleaseFreeMemory();
    }

    private double Ceiling => World.Size * ceiling;

    private SavingSchedule Schedule() => new(parts.Recipe.Resilience, parts.TotalSteps, parts.TokensPerStep);

    /// <summary>What went wrong with snapshots on other threads is told on this one.</summary>
    private void TellAlarms()
    {
        foreach (var line in telling?.Memory?.Alarms() ?? []) Tell(new Notice("warning", line));
    }

    /// <summary>Hash of the state of all ranks: content by logical place, so that it is the same under every shape.</summary>
    private string Hash()
    {
        var summary = Part.Summary();
        var text = new StringBuilder($"perennial sharded state 1\n{ProgressJson.Write(Progress)}\n{parts.StreamFingerprint}\n{parts.Recipe.Seed}\n");
        foreach (var slot in summary.Slots)
            foreach (var (name, digest) in slot.Tensors.OrderBy(pair => pair.Key, StringComparer.Ordinal)) text.Append(slot.Slot.Name).Append(' ').Append(name).Append(' ').Append(digest).Append('\n');
        return Convert.ToHexStringLower(XxHash128.Hash(Encoding.UTF8.GetBytes(text.ToString())));
    }
}
