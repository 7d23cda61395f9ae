using System.Diagnostics;
using System.IO.Hashing;
using System.Text;
using Perennial.Core;
using Perennial.Core.Recipes;
using Perennial.Optimization;
using Perennial.Resilience;
using Perennial.Resilience.Groups;
using Perennial.Resilience.Plans;
using Perennial.Resilience.Universal;
using Perennial.Tensors;
using Perennial.Training.Bench;
using Perennial.Training.Checkpoints;
using Perennial.Training.Loop;
using Perennial.Training.Memory;
using Perennial.Training.Parallel;
using Perennial.Training.Practices;
using Perennial.Training.State;

namespace Perennial.Training.Runs;

/// <summary>
/// One rank's part in a run under a fixed parallel shape. Rank 0 leads: it writes the run folder. Checkpoints are everyone's. When a rank is
/// lost, the others wait for its successor; what it held comes from its peers where they have all of it, else all go back to the newest
/// snapshot in the managers' memory, or to a checkpoint where that is newer or all there is.
/// </summary>
internal sealed class FixedSession : IRunSession
{
    private readonly RunParts parts;
    private readonly RunFolder folder;
    private readonly TrainingRunOptions options;
    private readonly Action<RunEvent> observers;
    private readonly long? earlierSteps;
    private readonly CancellationToken cancellation;
    private readonly ParallelDecoder decoder;
    private readonly ShardedState state;
    private readonly FixedWorld world;
    private readonly FixedReplicas replicas;
    private readonly FixedHeldOut service;
    private readonly TrainingLoop loop;
    private readonly GradientPass pass;
    private readonly ShardedCheckpointWriter writer;
    private readonly FixedMemory? memory;
    private SavingSchedule saving;
    private double ceiling;
    private bool hasState;
    private RunResult? told;

    public FixedSession(RunParts parts, RunFolder folder, TrainingRunOptions options, Action<RunEvent> observers, long? earlierSteps, CancellationToken cancellation)
    {
        (this.parts, this.folder, this.options, this.observers, this.earlierSteps, this.cancellation) = (parts, folder, options, observers, earlierSteps, cancellation);
        decoder = parts.Parallel!;
        state = new ShardedState(decoder, parts.Optimizer.Slots, [.. parts.State.Slots.Skip(parts.Optimizer.Slots.Count)]);
        world = new FixedWorld(options.Parallel!);
        saving = Schedule();
        memory = options.Memory is { } kept ? new FixedMemory(kept, decoder, parts.State) : null;
        replicas = new FixedReplicas(decoder, () => world.Epoch, () => memory is { Snapshots.IsReady: true } && (!IsLeader || saving.SnapshotDue(Progress.Step + 1)));
        service = new FixedHeldOut(parts, decoder, Tell);
        IPasses passes = decoder.Placement.Shape.Pipeline > 1 ? new PipelinePasses(parts.Objective, decoder.Model, () => decoder.Groups.Pipeline) : new PlainPasses(() => parts.Objective, decoder.Model);
        pass = new GradientPass(parts, replicas, passes);
        loop = new TrainingLoop(parts, replicas, pass, new PracticeServices(parts, service.Evaluate, pass, Tell), Tell, () => memory?.Snapshots.WaitDecided(), () => { }, cancellation);
        writer = new ShardedCheckpointWriter(parts, state, folder.Checkpoints);
    }

    private bool IsLeader => decoder.Rank == 0;

    private Progress Progress => parts.State.Progress;

    private ICommunicator World => decoder.Groups.World;

    /// <inheritdoc/>
    public RunResult Run()
    {
        loop.RememberPractices();
        var lost = Bring(null);
        while (true)
        {
            try
            {
                if (lost is not null) lost = Bring(lost);
                var completed = Steps();
                var result = Finish(completed);
                replicas.Await();
                return result;
            }
            catch (CommunicatorException failure)
            {
                lost = failure;
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        memory?.Dispose();
        writer.Dispose();
        // What still waits for another process ends with the group.
        decoder.Leave();
        loop.Release();
        service.Dispose();
        world.Dispose();
    }

    private void Tell(RunEvent happened)
    {
        if (IsLeader) observers(happened);
    }

    /// <summary>Brings the world together and its ranks to one state, until it holds.</summary>
    private CommunicatorException? Bring(CommunicatorException? lost)
    {
        var first = lost;
        // The call that failed had waited for so long: the loss is at most as long ago.
        var detected = replicas.Called == 0 ? 0 : Stopwatch.GetElapsedTime(replicas.Called).TotalSeconds;
        while (true)
        {
            try
            {
                // The first world may break while its groups are formed: whoever was lost then is waited for as later.
                if (lost is null) decoder.Join(world.Join());
                else
                {
                    memory?.Snapshots.Leave();
                    writer.Abandon();
                    decoder.Leave();
                    decoder.Join(world.Rejoin(lost));
                }
                var clock = Stopwatch.GetTimestamp();
                state.Meet();
                memory?.Meet(World, options.Parallel!.Node);
                if (!hasState) Open();
                var begins = !hasState;
                var how = Agree();
                memory?.Join();
                // The new recipe is written when what it goes on from is settled: a kill in between settles it again.
                if (begins && IsLeader) folder.WriteRecipe(parts.Recipe);
                Start(first, how, new RecoveryPhases(detected, world.Phases.Agree, world.Phases.Group, 0, Stopwatch.GetElapsedTime(clock).TotalSeconds, double.NaN));
                return null;
            }
            catch (CommunicatorException again)
            {
                lost = again;
                first ??= again;
            }
        }
    }

    private void Open()
    {
        if (!IsLeader) return;
        Directory.CreateDirectory(folder.Checkpoints.Root);
        folder.Checkpoints.Clean();
    }

    /// <summary>Finds out who has which state and completes it: from peers where they have everything, else from the managers' memory, else from disk, else from the beginning.</summary>
    private string Agree()
    {
        const int fields = 2;
        var all = new long[fields * World.Size];
        World.AllGather([hasState && !replicas.IsTorn ? 1 : 0, Progress.Step], all, [.. Enumerable.Repeat((long)fields, World.Size)]);
        var whole = Enumerable.Range(0, World.Size).Where(rank => all[fields * rank] == 1).ToList();
        var steps = whole.Select(rank => all[fields * rank + 1]).Distinct().ToList();
        var without = Enumerable.Range(0, World.Size).Except(whole).ToHashSet();
        string? how;
        if (steps.Count == 1 && without.Count == 0) how = "nothing was lost";
        else if (steps.Count == 1 && state.Layout.Slots.All(slot => TransferPlan.Missing(slot.Layout, slot.Layout, new TransferOptions(without)).Count == 0)) how = FromPeers(whole[0], without);
        else how = FromMemory();
        if (how is not null) NoteDurable();
        else how = FromDisk();
        (hasState, replicas.IsTorn) = (true, false);
        parts.Model.ParametersChanged();
        loop.RestorePractices();
        if (without.Count > 0 || steps.Count > 1) loop.Forget();
        return how;
    }

    /// <summary>What is on disk behind the present state, the same on every rank: they save together, or none does.</summary>
    private void NoteDurable()
    {
        long[] newest = [folder.Checkpoints.List().Where(entry => entry.Step < Progress.Step).Select(entry => entry.Step).DefaultIfEmpty(-1).First()];
        World.Broadcast<long>(newest, 0);
        writer.DurableStep = newest[0];
    }

    private string FromPeers(int root, IReadOnlySet<int> without)
    {
        long bytes = 0;
        var (buffers, lacks) = (state.Buffers(), without.Contains(decoder.Rank));
        foreach (var slot in state.Layout.Slots)
        {
            var plan = TransferPlan.Between(slot.Layout, slot.Layout, new TransferOptions(without));
            if (lacks) buffers[slot.Slot.Name].Clear();
            bytes += TransferExchange.Run(plan, World, buffers[slot.Slot.Name], buffers[slot.Slot.Name]);
        }
        var text = GateExchange.Broadcast(World, decoder.Rank == root ? Encoding.UTF8.GetBytes(ProgressJson.Write(Progress)) : null, root);
        parts.State.Progress = ProgressJson.Read(Encoding.UTF8.GetString(text), "the state of a peer");
        _ = Summary();
        double[] moved = [bytes];
        World.AllReduce<double>(moved);
        return $"the state of rank {string.Join(" and ", without.Order())} came from peers' memory ({moved[0] / (1 << 20):F1} MiB); no checkpoint was read";
    }

    /// <summary>From the managers' memory, if nothing newer is whole on disk.</summary>
    private string? FromMemory()
    {
        // A longer plan goes on from what the earlier one left on disk.
        var isLonger = !hasState && earlierSteps < parts.Stages[^1].Steps;
        var how = memory?.Restore(step => !isLonger && !folder.Checkpoints.List().Any(entry => entry.Step > step && CheckpointStore.Problem(entry) is null), () => replicas.IsTorn = true);
        TellAlarms();
        if (how is null) return null;
        // Under ZeRO each rank has its piece of the weights back: the others' pieces come from them.
        decoder.Publish();
        _ = Summary();
        return how;
    }

    private string FromDisk()
    {
        // Until everyone has all of it, nobody's state is of a step.
        replicas.IsTorn = true;
        var newest = IsLeader ? folder.Checkpoints.Newest(reason => Tell(new Notice("warning", reason))) : null;
        var extension = newest is not null && !hasState && earlierSteps is { } before ? RunExtension.Plan(parts, folder, newest, before, line => Tell(new Notice("warning", line))) : null;
        extension?.Apply(folder);
        var path = Encoding.UTF8.GetString(GateExchange.Broadcast(World, IsLeader ? Encoding.UTF8.GetBytes((extension?.From ?? newest)?.Folder ?? "") : null, 0));
        if (path.Length == 0)
        {
            // The beginning is saved too: whoever is lost before the first checkpoint must find something.
            if (hasState) throw PerennialException.Failed($"{folder.Path}: no whole checkpoint is left to go back to; start over with --fresh");
            Save();
            return "from the beginning";
        }
        var buffers = state.Buffers();
        var restored = ShardedCheckpoint.Read(path, state.Layout, decoder.Rank, buffers, parts.Recipe.Seed, parts.StreamFingerprint, withExpected: IsLeader);
        var expected = restored.Expected;
        if (!ShardedCheckpoint.IsIn(path)) expected = StateSummary.FromJson(GateExchange.Broadcast(World, IsLeader ? expected!.ToJson() : null, 0));
        GateExchange.Require(World, expected!, state.Layout, RankEvidence.Gather(state.Layout, decoder.Rank, buffers, restored.Record, restored.Load.Ledgers));
        parts.State.Progress = restored.Progress;
        writer.DurableStep = restored.Progress.Step;
        Extend(extension);
        double[] read = [restored.Load.BytesRead, restored.Load.BytesNeeded];
        World.AllReduce<double>(read);
        return $"resuming from {path} (step {restored.Progress.Step}): {World.Size} ranks read {read[0] / (1 << 20):F1} MiB for the {read[1] / (1 << 20):F1} MiB that {decoder.Placement.Shape} needs; content, slots, progress and keys are those that were saved";
    }

    /// <summary>Where the schedule begins again after an earlier plan, everyone learns of it, and it is durable before the folder has the new recipe.</summary>
    private void Extend(RunExtension? extension)
    {
        if (extension is not null) Tell(new Notice("info", extension.Words));
        var totals = IsLeader ? (extension?.EarlierTotals(Progress) ?? Progress.EarlierTotals) : [];
        long[] count = [totals.Count];
        World.Broadcast<long>(count, 0);
        var all = new long[count[0]];
        totals.ToArray().CopyTo(all, 0);
        World.Broadcast<long>(all, 0);
        if (all.SequenceEqual(Progress.EarlierTotals)) return;
        parts.State.Progress = Progress with { EarlierTotals = all };
        writer.DurableStep = -1;
        Save();
    }

    private void Start(CommunicatorException? lost, string how, RecoveryPhases phases)
    {
        if (!IsLeader) return;
        // What is measured is one process's; all together can do as many times that.
        if (ceiling == 0 && options.MeasureCeiling is { } measure) ceiling = World.Size * new RunMeasurements(folder.Path).Ceiling(parts.Model.Precision, measure);
        if (lost is not null && told is null && loop.Work.Tokens > 0)
        {
            Tell(new Recovered(Progress.Step, world.Epoch, World.Size, World.Size, $"{lost.Message}; {how}", phases, DateTimeOffset.UtcNow));
            return;
        }
        Tell(new RunStarted(folder.Path, RecipeWriter.ToYaml(parts.Recipe), decoder.Placement.Global.Length, parts.TotalSteps, parts.TokensPerStep, Progress.Step,
            TrainingFlops.PerToken(parts.Config, parts.Config.Context), ceiling, RunFacts.Of(parts, options.Yardsticks ? new RunMeasurements(folder.Path) : null)));
        Tell(new Notice("info", how));
    }

    private bool Steps()
    {
        long Every(Core.RunLength length) => length.ToSteps(parts.TotalSteps, parts.TokensPerStep);
        var evaluateEvery = Every(parts.Recipe.Evaluation.Every);
        // Ranks that were there before and new ones measure alike.
        saving = Schedule();
        while (Progress.Step < parts.TotalSteps)
        {
            if (Progress.Step >= options.StopAtStep) return false;
            var clock = Stopwatch.GetTimestamp();
            TakeStep();
            saving.Note(Stopwatch.GetElapsedTime(clock).TotalSeconds);
            if (writer.Poll() is { } finished) Tell(finished);
            var step = Progress.Step;
            if (loop.Agreement.Snapshot) memory!.Snapshots.Offer();
            TellAlarms();
            var begun = Stopwatch.GetTimestamp();
            if ((saving.CheckpointDue(step) || saving.IsDeciding || step == parts.TrunkStep) && step < parts.TotalSteps && writer.Begin(World) is { } written) Tell(written);
            if (saving.IsDeciding) Decide(Stopwatch.GetElapsedTime(begun).TotalSeconds);
            if (step == parts.TotalSteps || (evaluateEvery > 0 && step % evaluateEvery == 0)) Evaluate(withSamples: true);
            if (loop.Agreement.Stop) return step >= parts.TotalSteps;
        }
        return true;
    }

    /// <summary>The leader works out how often to save, and everyone does as it says.</summary>
    private void Decide(double checkpointStall)
    {
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
            loop.Step(Progress.Step - Math.Max(0, writer.DurableStep));
        }
        catch (PerennialException) when (loop.IsStopped)
        {
            Save();
            throw;
        }
    }

    private RunResult Finish(bool completed)
    {
        if (told is not null) return told;
        if (completed && parts.Texts.All is not null && Progress.Step == parts.TotalSteps && IsLeaderWithout()) Evaluate(withSamples: false);
        Save();
        if (memory is { Snapshots.Account: { Taken: > 0 } account }) Tell(new Notice("info", $"memory snapshots: {account.Taken} taken, {account.Skipped} skipped, the steps waited {account.Stall:F2} s for them"));
        TellAlarms();
        var speed = loop.Work.Seconds > 0 ? loop.Work.Tokens / loop.Work.Seconds : 0;
        var result = new RunResult
        {
            Completed = completed, Step = Progress.Step, Tokens = Progress.Tokens, Loss = Progress.LastLoss, BitsPerByte = service.BitsPerByte, TokensPerSecond = speed,
            Mfu = ceiling > 0 ? speed * TrainingFlops.PerToken(parts.Config, parts.Config.Context) / ceiling : 0, StateHash = Hash(),
        };
        Tell(new RunFinished(result));
        return told = result;
    }

    /// <summary>Whether the leader has scored nothing yet; asked of everyone, for all take part in an evaluation.</summary>
    private bool IsLeaderWithout()
    {
        long[] without = [IsLeader && service.BitsPerByte is null ? 1 : 0];
        World.Broadcast<long>(without, 0);
        return without[0] == 1;
    }

    /// <summary>Makes the present step durable, unless it is already.</summary>
    private void Save()
    {
        if (writer.Finish() is { } earlier) Tell(earlier);
        if (writer.DurableStep == Progress.Step) return;
        writer.Begin(World);
        if (writer.Finish() is { } last) Tell(last);
        // Nobody goes on before the checkpoint is one.
        World.Barrier();
    }

    private void Evaluate(bool withSamples)
    {
        // Practices lend their weights to the model while they are scored.
        memory?.Snapshots.WaitCopied();
        if (!parts.Practices.OfType<EvaluatePractice>().Any()) service.Evaluate("raw");
        if (parts.Optimizer.Derived is { } derived) service.Evaluate(derived, parts.Optimizer.Slots);
        foreach (var practice in parts.Practices) practice.AtInterval(loop.Context);
        if (!withSamples) return;
        service.Gather();
        if (service.Model is { } model)
            foreach (var prompt in parts.Recipe.Evaluation.Prompts) Tell(new SampleWritten(Progress.Step, prompt, SampleText.Write(parts, prompt, model)));
        if (Mixture.Measure(parts) is { } measured) Tell(measured);
        TorchRuntime.ReleaseFreeMemory();
    }

    /// <summary>What all ranks have; copies of one tensor that differ, and ranks of different steps, are told here.</summary>
    private StateSummary Summary() => StateSummary.Of(state.Layout, GateExchange.Gather(World, RankEvidence.Gather(state.Layout, decoder.Rank, state.Buffers(), Record())));

    private SavingSchedule Schedule() => new(parts.Recipe.Resilience, parts.TotalSteps, parts.TokensPerStep);

    /// <summary>What went wrong with snapshots on other threads is told on this one.</summary>
    private void TellAlarms()
    {
        foreach (var line in memory?.Alarms() ?? []) Tell(new Notice("warning", line));
    }

    private ProgressRecord Record() => ShardedCheckpoint.Record(Progress, parts.Recipe.Seed, parts.StreamFingerprint);

    /// <summary>Hash of the state of all ranks: content by logical place, so that it is the same under every shape.</summary>
    private string Hash()
    {
        var summary = Summary();
        var text = new StringBuilder($"perennial sharded state 1\n{ProgressJson.Write(Progress)}\n{parts.StreamFingerprint}\n{parts.Recipe.Seed}\n");
        foreach (var slot in summary.Slots)
            foreach (var (name, digest) in slot.Tensors.OrderBy(pair => pair.Key, StringComparer.Ordinal)) text.Append(slot.Slot.Name).Append(' ').Append(name).Append(' ').Append(digest).Append('\n');
        return Convert.ToHexStringLower(XxHash128.Hash(Encoding.UTF8.GetBytes(text.ToString())));
    }
}
