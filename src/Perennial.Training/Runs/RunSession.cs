using System.Collections.Concurrent;
using System.Diagnostics;
using Perennial.Core;
using Perennial.Core.Recipes;
using Perennial.Models;
using Perennial.Optimization;
using Perennial.Resilience;
using Perennial.Resilience.Groups;
using Perennial.Tensors;
using Perennial.Training.Bench;
using Perennial.Training.Checkpoints;
using Perennial.Training.Loop;
using Perennial.Training.Memory;
using Perennial.Training.Parallel;
using Perennial.Training.Practices;

namespace Perennial.Training.Runs;

/// <summary>
/// One process's part in a run. Every process takes every step; the leader (the only one, where there is one) also writes the run folder:
/// events, evaluations, checkpoints. When a leader is lost, the next one takes the folder over at the step that both committed.
/// </summary>
internal sealed class RunSession : IRunSession
{
    private readonly RunParts parts;
    private readonly RunFolder folder;
    private readonly TrainingRunOptions options;
    private readonly Action<RunEvent> observers;
    private readonly long? earlierSteps;
    private readonly CancellationToken cancellation;
    private readonly IReplicas replicas;
    private readonly MemorySnapshots? memory;
    private readonly StateBytes? bytes;
    private readonly HeldOutService heldOut;
    private readonly IReadOnlyList<IReadOnlyList<long>> probes;
    private readonly TrainingLoop loop;
    private readonly SavingSchedule saving;
    private readonly RunSaves saves;
    private RunLock? turn;
    private CheckpointWriter? writer;
    private long resumed = -1;
    private bool isDiskLater, isEndSeen;
    private RunExtension? extension;
    private double ceiling;
    private readonly List<RunEvent> early = [];
    private readonly ConcurrentQueue<string> alarms = new();
    private RunResult? told;
    private readonly List<Recovered> recoveries = [];
    private long replayed;

    public RunSession(RunParts parts, RunFolder folder, TrainingRunOptions options, Action<RunEvent> observers, long? earlierSteps, CancellationToken cancellation)
    {
        (this.parts, this.folder, this.options, this.observers, this.earlierSteps, this.cancellation) = (parts, folder, options, observers, earlierSteps, cancellation);
        saving = new SavingSchedule(parts.Recipe.Resilience, parts.TotalSteps, parts.TokensPerStep);
        if (options.Memory is { } kept) memory = new MemorySnapshots(kept, bytes = new StateBytes(parts.State, parts.State.Parameters), () => Progress.Step, alarms.Enqueue);
        saves = new RunSaves(memory, bytes, Tell);
        var hooks = new StateHooks(parts.HashState, RestoreFromMemory, (group, nodes) => memory?.Join(group, nodes), () => memory?.IsReady == true && (!IsLeading || saving.SnapshotDue(Progress.Step + 1) || saving.CheckpointDue(Progress.Step + 1)));
        replicas = options.Parallel is { } settings ? new ElasticReplicas(settings, parts.Recipe, parts.Recipe.Training.MicroBatch ?? MicroBatches.DefaultRows(parts.Recipe.Training.Batch, parts.Config.Context), parts.State, hooks) : new SoloReplica();
        heldOut = new HeldOutService(parts, Tell);
        var pass = new GradientPass(parts, replicas);
        loop = new TrainingLoop(parts, replicas, pass, new PracticeServices(parts, heldOut.Evaluate, pass, Tell), Tell, () => memory?.WaitDecided(), StageEnds, cancellation);
        probes = [.. parts.Stages.Select(stage => (IReadOnlyList<long>)[.. parts.Recipe.Evaluation.Probes.Select(probe => probe.ToSteps(stage.Steps, parts.TokensPerStep))])];
    }

    private bool IsLeading => writer is not null;

    private State.Progress Progress => parts.State.Progress;

    /// <summary>Trains to the planned end or until cancelled; either way the state is on disk when it returns.</summary>
    public RunResult Run()
    {
        if (replicas is SoloReplica) turn = folder.Open();
        if (replicas is SoloReplica && options.Fresh) folder.Clear();
        // What memory holds is at least as new: the disk is read only where memory fails. A longer plan goes on from what the earlier one left on disk.
        isDiskLater = bytes is not null && !(earlierSteps < parts.Stages[^1].Steps) && ReplicaRestore.Holds(options.Memory!, bytes, OnDisk);
        if (!isDiskLater) resumed = Resume();
        // The new recipe is written when what it goes on from is settled: a kill in between settles it again.
        if (replicas is SoloReplica) TakeFolder();
        if (resumed >= 0) loop.RestorePractices();
        else loop.RememberPractices();
        if (replicas is ElasticReplicas elastic ? elastic.Begin() : BeginAlone()) StateReplaced();
        while (true)
        {
            try
            {
                Lead();
                var completed = Steps();
                var result = Finish(completed);
                replicas.Await();
                return result;
            }
            catch (CommunicatorException lost)
            {
                memory?.WaitCopied();
                var (recovered, replaced) = ((ElasticReplicas)replicas).Recover(lost);
                if (replaced) StateReplaced();
                // A step that broke half-way may have changed what practices remember.
                else loop.RestorePractices();
                Lead();
                // Told together with how long the step took that is done again.
                recoveries.Add(recovered);
                replayed = Stopwatch.GetTimestamp();
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        memory?.Dispose();
        writer?.Dispose();
        turn?.Dispose();
        // What still waits for another process ends with the group.
        replicas.Dispose();
        loop.Release();
    }

    private void Tell(RunEvent happened)
    {
        if (IsLeading || replicas is SoloReplica) observers(happened);
        else if (loop.LastTold.Count == 0 && happened is Notice) early.Add(happened);
    }

    private bool BeginAlone()
    {
        var replaced = RestoreFromMemory();
        memory?.Join(null, [options.Memory!.Managers.Keys.Order(StringComparer.Ordinal).First()]);
        return replaced;
    }

    /// <summary>What went wrong with snapshots on other threads is told on this one.</summary>
    private void TellAlarms()
    {
        while (alarms.TryDequeue(out var line)) Tell(new Notice("warning", line));
    }

    private void TakeFolder()
    {
        folder.WriteRecipe(parts.Recipe);
        Directory.CreateDirectory(folder.Checkpoints.Root);
        folder.Checkpoints.Clean();
    }

    /// <summary>Begins to write the run folder, or leaves it to another, as the group has it.</summary>
    private void Lead()
    {
        var begins = extension;
        extension = null;
        if (replicas.IsLeader == IsLeading) return;
        if (!replicas.IsLeader)
        {
            writer!.Dispose();
            turn?.Dispose();
            (writer, turn) = (null, null);
            return;
        }
        // Among several processes the membership says who writes; a leader that hangs may still hold the lock.
        if (replicas is not SoloReplica)
        {
            Directory.CreateDirectory(folder.Checkpoints.Root);
            if (begins is not null && Progress.Step == begins.From.Step) Extend(begins);
            folder.WriteRecipe(parts.Recipe);
        }
        writer = new CheckpointWriter(parts, folder.Checkpoints, replicas is SoloReplica && !isDiskLater ? resumed : Durable());
        // A leader that was lost may not have told of the last step any more: it is told again. What was measured before is not measured again.
        var takesOver = loop.LastTold.Count > 0;
        var measurements = new RunMeasurements(folder.Path);
        if (ceiling == 0 && options.MeasureCeiling is { } measure) ceiling = measurements.Ceiling(parts.Model.Precision, measure);
        var flops = TrainingFlops.PerToken(parts.Config, parts.Config.Context, parts.Model.Map);
        Tell(new RunStarted(folder.Path, RecipeWriter.ToYaml(parts.Recipe), parts.Model.Parameters.Layout.Length, parts.TotalSteps, parts.TokensPerStep,
            Progress.Step - (takesOver ? 1 : 0), flops, Ceiling, RunFacts.Of(parts, options.Yardsticks ? measurements : null)));
        foreach (var notice in early) Tell(notice);
        early.Clear();
        foreach (var last in loop.LastTold) Tell(last);
        TellAlarms();
    }

    // Everyone waits for the one that takes over: the newest checkpoint is read through only where it could stand for the step that was reached.
    private long Durable() => folder.Checkpoints.List() is [var newest, ..] && newest.Step < Progress.Step ? newest.Step : folder.Checkpoints.Newest(_ => { })?.Step ?? -1;

    // What is measured is one process's; all together can do as many times that.
    private double Ceiling => ceiling * replicas.Shares(parts.Recipe.Training.Batch).ByRank.Count;

    /// <summary>The step of the newest checkpoint, whole or not.</summary>
    private long OnDisk => folder.Checkpoints.List() is [var newest, ..] ? newest.Step : 0;

    /// <summary>Takes back what outlived all processes, from disk where that is newer or memory fails; true where the state was replaced.</summary>
    private bool RestoreFromMemory()
    {
        if (bytes is null) return false;
        var (how, isRead) = ((string?)null, false);
        if (isDiskLater)
        {
            var told = new List<string>();
            how = ReplicaRestore.Run(options.Memory!, bytes, Math.Max(0, OnDisk - 1), told.Add);
            if (how is null) isRead = (resumed = Resume()) >= 0;
            else told.ForEach(alarms.Enqueue);
            isDiskLater = how is not null;
        }
        how ??= ReplicaRestore.Run(options.Memory!, bytes, Progress.Step, alarms.Enqueue);
        TellAlarms();
        if (how is not null) Tell(new Notice("info", how));
        return isRead || how is not null;
    }

    private void StateReplaced()
    {
        parts.Model.ParametersChanged();
        loop.RestorePractices();
        loop.Forget();
    }

    private bool Steps()
    {
        var evaluateEvery = parts.Recipe.Evaluation.Every.ToSteps(parts.TotalSteps, parts.TokensPerStep);
        var due = false;
        // Where nothing is learned yet: what forward transfer is measured from.
        if (IsLeading && parts.Recipe.Stages.Count > 0 && Progress.Step == 0 && options.StopAtStep is not 0) heldOut.Evaluate("raw");
        loop.Adopt();
        while (Progress.Step < parts.TotalSteps)
        {
            // Several processes stop together, at the end of a step; one may stop before it.
            if ((replicas is SoloReplica && cancellation.IsCancellationRequested) || Progress.Step >= options.StopAtStep) return false;
            var clock = Stopwatch.GetTimestamp();
            TakeStep();
            saving.Note(Stopwatch.GetElapsedTime(clock).TotalSeconds);
            TellRecoveries();
            saves.Try(() => writer?.Poll() is { } finished ? [finished] : []);
            var step = Progress.Step;
            // The beginning of a stage is worth a checkpoint of its own.
            due |= writer?.IsMissed == true || saving.CheckpointDue(step) || (saving.IsDeciding && IsLeading) || step == Progress.StageStart || step == parts.TrunkStep || step == parts.TotalSteps;
            // The last one too: whoever is lost while the end is evaluated loses no step.
            var savesNow = due && loop.IsSavePoint;
            // Several processes take one together when the leader finds it due; one alone asks itself.
            var snapshots = loop.Agreement.Snapshot && (replicas is not SoloReplica || saving.SnapshotDue(step));
            // Ordered first: from the commit on the checkpoint needs no trainer. What one costs is measured on one that this process writes itself.
            var isOrdered = savesNow && snapshots && writer is not null && !saving.IsDeciding && saves.Order(writer);
            if (snapshots) memory?.Offer();
            TellAlarms();
            if (savesNow)
            {
                var begun = Stopwatch.GetTimestamp();
                if (!isOrdered) saves.Try(() => writer?.Begin() ?? []);
                if (saving.IsDeciding && IsLeading) Decide(Stopwatch.GetElapsedTime(begun).TotalSeconds);
                due = false;
            }
            if (step == parts.TotalSteps) StageEnds();
            else if (IsLeading && step > Progress.StageStart && ((evaluateEvery > 0 && step % evaluateEvery == 0) || probes[Progress.Stage].Contains(step - Progress.StageStart))) EvaluateNow();
            if (loop.Agreement.Stop) return step >= parts.TotalSteps;
            if (loop.Agreement.Regroup && step < parts.TotalSteps) Regroup();
        }
        return true;
    }

    /// <summary>Works out how often to save, once a step and a saving of each kind were measured.</summary>
    private void Decide(double checkpointStall)
    {
        var snapshots = memory is { Account: { Taken: > 0 } account, Protection: { } protection } ? (Protection: ((int, int)?)protection, Stall: account.Stall / account.Taken) : (null, 0);
        var nodes = options.Memory?.Managers.Count ?? 1;
        var bytes = parts.State.Parameters.Values.NumberOfElements * sizeof(float) + parts.State.Slots.Sum(slot => slot.Values.NumberOfElements * slot.Values.ElementSize);
        foreach (var line in saving.Decide(nodes, snapshots.Protection, bytes, snapshots.Stall, checkpointStall)) Tell(new Notice("info", line));
    }

    private void TellRecoveries()
    {
        for (var i = 0; i < recoveries.Count; i++)
            Tell(i < recoveries.Count - 1 ? recoveries[i] : recoveries[i] with { Phases = recoveries[i].Phases with { Replay = Stopwatch.GetElapsedTime(replayed).TotalSeconds } });
        recoveries.Clear();
    }

    /// <summary>What is seen and kept of a finished stage, before the state goes over to the next.</summary>
    private void StageEnds()
    {
        // What a new stage changes must not change under a copy.
        memory?.WaitCopied();
        if (!IsLeading) return;
        heldOut.AtStageEnd = true;
        EvaluateNow();
        heldOut.AtStageEnd = false;
        isEndSeen = Progress.Step == parts.TotalSteps;
        if (parts.Recipe.Stages.Count == 0) return;
        var (stage, steps) = (parts.Stage, Progress.Step - Progress.StageStart);
        var target = folder.WriteStage(stage.Index, stage.Recipe.Name, path => CheckpointFiles.WriteModel(path, parts.State.Parameters.Layout, parts.State.Parameters.Values, parts.Config, parts.Data.Tokenizer, parts.Model.Map, parts.State.Slots.FirstOrDefault(slot => slot.Name == WeightMap.FrozenSlot)?.Values));
        Tell(new StageFinished(Progress.Step, stage.Index, stage.Recipe.Name, steps, steps * parts.TokensPerStep, Progress.Cursor * parts.Config.Context, target));
    }

    private void EvaluateNow()
    {
        // Practices lend their weights to the model while they are scored.
        memory?.WaitCopied();
        Evaluate();
        TorchRuntime.ReleaseFreeMemory();
    }

    private void TakeStep()
    {
        try
        {
            loop.Step(Progress.Step - Math.Max(0, writer?.DurableStep ?? Progress.Step));
        }
        catch (PerennialException) when (loop.IsStopped && IsLeading)
        {
            loop.ReturnToSavePoint();
            saves.Save(writer!, Progress.Step);
            throw;
        }
    }

    private void Regroup()
    {
        memory?.WaitCopied();
        if (((ElasticReplicas)replicas).Regroup()) StateReplaced();
        Lead();
        Tell(new Notice("info", $"membership {replicas.Epoch}: {replicas.Shares(parts.Recipe.Training.Batch).ByRank.Count} processes from step {Progress.Step + 1} on"));
    }

    private RunResult Finish(bool completed)
    {
        if (told is not null && IsLeading) return told;
        if (!completed) loop.ReturnToSavePoint();
        if (IsLeading)
        {
            // Also of a run that was lost after its last step.
            if (completed && !isEndSeen) StageEnds();
            saves.Save(writer!, Progress.Step);
            if (memory is { Account: var account } && account.Taken > 0)
            {
                Tell(new Notice("info", $"memory snapshots: {account.Taken} taken, {account.Skipped} skipped, the steps waited {account.Stall:F2} s for them"));
            }
            TellAlarms();
        }
        var speed = loop.Work.Seconds > 0 ? loop.Work.Tokens / loop.Work.Seconds : 0;
        var result = new RunResult
        {
            Completed = completed,
            Step = Progress.Step,
            Tokens = Progress.Tokens,
            Loss = Progress.LastLoss,
            BitsPerByte = heldOut.BitsPerByte,
            TokensPerSecond = speed,
            Mfu = Ceiling > 0 ? speed * TrainingFlops.PerToken(parts.Config, parts.Config.Context, parts.Model.Map) / Ceiling : 0,
            StateHash = parts.HashState(),
        };
        MemoryEstimate.Compare(parts, line => Tell(new Notice("info", line)));
        Tell(new RunFinished(result));
        if (IsLeading) told = result;
        return result;
    }

    private void Evaluate()
    {
        if (!parts.ActivePractices.OfType<EvaluatePractice>().Any()) heldOut.Evaluate("raw");
        if (parts.Optimizer.Derived is { } derived) EvaluateDerived(derived);
        foreach (var practice in parts.ActivePractices) practice.AtInterval(loop.Context);
        foreach (var prompt in parts.Recipe.Evaluation.Prompts) Tell(new SampleWritten(Progress.Step, prompt, SampleText.Write(parts, prompt)));
        if (Mixture.Measure(parts) is { } measured) Tell(measured);
    }

    /// <summary>Scores the weights that the optimizer means to be used in place of those it trains.</summary>
    private void EvaluateDerived(DerivedWeights derived)
    {
        using var scope = TorchSharp.torch.NewDisposeScope();
        var values = TorchSharp.torch.empty_like(parts.State.Parameters.Values);
        derived.Fill(parts.State.Parameters.Values, parts.State.Slots, values);
        WeightSwap.With(parts.Model, values, () => heldOut.Evaluate(derived.Name));
    }

    /// <summary>Loads the newest whole checkpoint, if any, and says which.</summary>
    private long Resume()
    {
        if (folder.Checkpoints.Newest(reason => Tell(new Notice("warning", reason))) is not { } newest) return -1;
        extension = earlierSteps is { } before ? RunExtension.Plan(parts, folder, newest, before, line => Tell(new Notice("warning", line))) : null;
        if (extension is not null) newest = extension.From;
        try
        {
            if (ShardedCheckpoint.IsIn(newest.Folder)) ShardedCheckpoint.ReadWhole(newest.Folder, parts.State, parts.Optimizer.Slots.Count, parts.Config, parts.Recipe.Seed, parts.StreamFingerprint);
            else CheckpointFiles.Read(newest.Folder, parts.State, parts.Config, parts.Model.Map);
        }
        catch (Exception error) when (error is PerennialException or IOException && !Directory.Exists(newest.Folder))
        {
            // A manager that outlived the trainers has just put a newer one in its place.
            return Resume();
        }
        if (extension is not null)
        {
            parts.State.Progress = parts.State.Progress with { EarlierTotals = extension.EarlierTotals(parts.State.Progress) };
            Tell(new Notice("info", extension.Words));
            // Several processes read the folder at once: it changes when one of them leads.
            if (replicas is SoloReplica) Extend(extension);
        }
        parts.Model.ParametersChanged();
        Tell(new Notice("info", $"resuming from {newest.Folder} (step {newest.Step})"));
        return newest.Step;
    }

    /// <summary>Makes the folder that of the longer run. Durable before it has the new recipe, after which nobody could tell that there was an extension.</summary>
    private void Extend(RunExtension begins)
    {
        begins.Apply(folder);
        using var now = new CheckpointWriter(parts, folder.Checkpoints, -1);
        foreach (var written in now.Begin()) Tell(written);
        now.Finish();
    }
}
