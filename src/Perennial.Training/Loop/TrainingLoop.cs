using System.Diagnostics;
using Perennial.Core;
using Perennial.Data;
using Perennial.Data.Mixtures;
using Perennial.Models;
using Perennial.Optimization;
using Perennial.Training.Mixing;
using Perennial.Training.Parallel;
using Perennial.Training.Parallel.Policies;
using Perennial.Training.Recipes;
using Perennial.Training.State;
using static TorchSharp.torch;

namespace Perennial.Training.Loop;

/// <summary>
/// The one loop. A step is a transaction: batch, forward, backward; the loss and the gradient are tested; only then do optimizer,
/// practices, cursor and counters move, together. Nothing here looks at the clock to decide anything.
/// </summary>
internal sealed class TrainingLoop(RunParts parts, IReplicas replicas, GradientPass pass, IPracticeServices services, Action<RunEvent> tell, Action beforeUpdate, Action stageEnds, CancellationToken cancellation)
{
    private readonly MixtureFeed mixing = new(parts, replicas, tell);
    private readonly SpikeOptions spikes = parts.Recipe.Training.OnSpike;
    private readonly PerLayerUpdates? perLayer = parts.Recipe.Training.PerLayer ? new PerLayerUpdates(parts) : null;
    private readonly StateSnapshot? fallback = parts.Recipe.Training.OnSpike.Action == SpikeAction.RollBack ? new StateSnapshot(parts.State) : null;

    /// <summary>Seconds spent in steps, and tokens they committed: what tokens a second are taken from.</summary>
    public (double Seconds, long Tokens) Work { get; private set; }

    /// <summary>Whether the policy stopped the run; the state is that of the last committed step.</summary>
    public bool IsStopped { get; private set; }

    /// <summary>What the processes of the last committed step agreed on.</summary>
    public StepAgreement Agreement { get; private set; }

    /// <summary>What was told of the last committed step: a new leader tells it again.</summary>
    public IReadOnlyList<RunEvent> LastTold { get; private set; } = [];

    /// <summary>The last step was another process's: nothing is to be told of it.</summary>
    public void Forget() => LastTold = [];

    /// <summary>Goes on where another loop of this process ended.</summary>
    public void Follow(TrainingLoop earlier) => (Work, LastTold) = (earlier.Work, earlier.LastTold);

    private TrainingState State => parts.State;

    /// <summary>What practices see now.</summary>
    public PracticeContext Context => new(parts.Model, State.Progress.Step, parts.TotalSteps, parts.TokensPerStep, parts.Recipe.Seed, services, Moment);

    private StageMoment Moment => new(parts.Stage.Index, parts.Stages.Count, parts.Stage.Recipe.Name, State.Progress.Step - State.Progress.StageStart, parts.Stage.Steps, State.Progress.Cursor, parts.Stage.Recipe.Branch);

    /// <summary>Rows that the next step takes from the stream.</summary>
    private int FreshRows => parts.ActivePractices.Aggregate(parts.Recipe.Training.Batch, (rows, practice) => practice.FreshRows(Context, rows));

    /// <summary>Commits one step (trying further batches when one is refused).</summary>
    /// <param name="snapshotLag">Steps by which the newest durable checkpoint is behind.</param>
    /// <exception cref="PerennialException">Exit 1: the policy stops the run.</exception>
    public void Step(long snapshotLag)
    {
        var clock = Stopwatch.GetTimestamp();
        TakeFallback();
        while (!TryStep(clock, snapshotLag)) clock = Stopwatch.GetTimestamp();
    }

    private bool TryStep(long clock, long snapshotLag)
    {
        using var scope = NewDisposeScope();
        PassLeftOut();
        var progress = State.Progress;
        var freshRows = FreshRows;
        mixing.Reach(progress.Cursor + freshRows, Learn);
        var fresh = parts.Stream.Read(progress.Cursor, freshRows);
        var batch = fresh;
        foreach (var practice in parts.ActivePractices) batch = practice.BeforeBatch(Context, batch);
        if (batch.Rows != parts.Recipe.Training.Batch) throw new InvalidOperationException($"the practices made a batch of {batch.Rows} rows instead of {parts.Recipe.Training.Batch}");
        var shares = replicas.Shares(batch.Rows);
        var stage = parts.Stage;
        var rate = (stage.Recipe.Rate ?? parts.Rates.Rate) * progress.RateFactor * Factor(progress.Step);
        var (loss, norm, refusal) = perLayer is null ? TakeWhole(batch, shares, rate)
            : perLayer.Run(batch, progress.Step + 1 - progress.OptimizerStart, rate, loss => SpikeTest.Reason(spikes, progress, loss, norm: 0), beforeUpdate);
        if (perLayer is not null) Agreement = new StepAgreement(loss, cancellation.IsCancellationRequested, Regroup: false, Snapshot: true);
        if (refusal is not null)
        {
            Refuse(refusal, batch, fresh.Rows);
            return false;
        }
        var start = parts.Restarts?.After(progress.Step + 1) ?? progress.OptimizerStart;
        replicas.Moved(parts.Model);
        State.Progress = progress with
        {
            Step = progress.Step + 1,
            OptimizerStart = start,
            Tokens = progress.Tokens + (long)shares.Rows * batch.Time,
            Cursor = progress.Cursor + fresh.Rows,
            FirstTotal = progress.FirstTotal > 0 ? progress.FirstTotal : stage.Steps,
            Mixture = mixing.Record,
            Refusals = 0,
            LastLoss = loss,
            Losses = SpikeTest.Remember(progress.Losses, loss, spikes.Window),
            Norms = SpikeTest.Remember(progress.Norms, norm, spikes.Window),
        };
        foreach (var practice in parts.ActivePractices) practice.AfterStep(Context);
        foreach (var range in shares.Covered)
        {
            var (first, end) = (range.Start.Value, Math.Min(range.End.Value, fresh.Rows));
            if (first < end) foreach (var practice in parts.Practices) practice.Committed(Context, progress.Cursor + first, fresh.SampleIds[first..end]);
        }
        RememberPractices();
        var seconds = Stopwatch.GetElapsedTime(clock).TotalSeconds;
        Work = (Work.Seconds + seconds, Work.Tokens + (long)shares.Rows * batch.Time);
        var done = new StepDone(State.Progress.Step, State.Progress.Tokens, loss, norm, rate, seconds, snapshotLag);
        LastTold = replicas.Epoch == 0 ? [done] : [done, new SamplesCommitted(done.Step, replicas.Epoch, [.. shares.ByRank.Select(rows => (IReadOnlyList<long>)[.. rows.SelectMany(range => batch.SampleIds[range])])])];
        foreach (var told in LastTold) tell(told);
        if (State.Progress.Step - State.Progress.StageStart >= stage.Steps && stage.Index + 1 < parts.Stages.Count)
        {
            stageEnds();
            NextStage();
        }
        return true;
    }

    /// <summary>Forward and backward of this process's rows, the whole gradient judged, then one update.</summary>
    private StepResult TakeWhole(TokenBatch batch, StepShares shares, double rate)
    {
        var progress = State.Progress;
        Agreement = replicas.Exchange(pass.Run(batch, shares, replicas.Rank), cancellation.IsCancellationRequested);
        foreach (var practice in parts.ActivePractices) practice.AfterBackward(Context);
        var norm = replicas.Norm(State.Parameters.Gradients);
        if (SpikeTest.Reason(spikes, progress, Agreement.Loss, norm.Value) is { } reason) return new(Agreement.Loss, norm.Value, reason);
        beforeUpdate();
        using (no_grad()) parts.Optimizer.Step(progress.Step + 1 - progress.OptimizerStart, rate, norm.ClipScale(parts.Rates.Clip));
        return new(Agreement.Loss, norm.Value, null);
    }

    private double Factor(long step) => parts.Restarts?.Factor(step, Scheduled) ?? Scheduled(step);

    private double Scheduled(long step) => parts.Stage.Schedule.Factor(Math.Max(0, step - State.Progress.StageStart), parts.Plan);

    private double[][] Learn(GraphLearningOptions options, SourceProbe probe)
    {
        beforeUpdate();
        return new GraphLearner(parts, replicas, TrialStep, tell).Learn(options, probe);
    }

    /// <summary>A step of a short run that is taken back: nothing but parameters and optimizer slots moves.</summary>
    private void TrialStep(TokenBatch batch, long number)
    {
        var progress = State.Progress;
        replicas.Exchange(pass.Run(batch, replicas.Shares(batch.Rows), replicas.Rank), stop: false);
        var norm = GradientNorm.Of(State.Parameters.Gradients);
        var rate = (parts.Stage.Recipe.Rate ?? parts.Rates.Rate) * progress.RateFactor * Scheduled(progress.Step + number - 1);
        using (no_grad()) parts.Optimizer.Step(progress.Step - progress.OptimizerStart + number, rate, norm.ClipScale(parts.Rates.Clip));
        parts.Model.ParametersChanged();
    }

    /// <summary>Small practice states are part of the progress, so that hash, snapshot and checkpoint see one value.</summary>
    public void RememberPractices() => State.Progress = State.Progress with { Practices = [.. parts.Practices.Select(practice => practice.Save())] };

    /// <summary>Takes the first stage over from a checkpoint where the recipe says so, instead of training it.</summary>
    public void Adopt()
    {
        if (State.Progress is not { Stage: 0, Step: 0 } || parts.Stage.Recipe is not { From: { } from } stage) return;
        var read = AdoptedStage.Load(from, parts, services);
        State.Progress = State.Progress with { Cursor = read };
        for (var position = 0L; position < read; position += AdoptedStage.Piece)
        {
            var samples = Enumerable.Range(0, (int)Math.Min(AdoptedStage.Piece, read - position)).Select(i => parts.Stream.SampleAt(position + i)).ToList();
            foreach (var practice in parts.Practices) practice.Committed(Context, position, samples);
        }
        stageEnds();
        NextStage();
    }

    /// <summary>Goes over to the next stage. Part of the step that ended the last one, so that a state of a step is one state.</summary>
    private void NextStage()
    {
        var (from, to) = (parts.Stage.Recipe, parts.Stages[parts.Stage.Index + 1].Recipe);
        foreach (var practice in parts.Practices) practice.StageEnded(Context);
        RememberPractices();
        var progress = State.Progress;
        if (from.Branch)
        {
            parts.Branches!.Return();
            parts.Model.ParametersChanged();
            // The trunk's optimizer has not seen the branch's steps.
            progress = progress with { RateFactor = progress.Trunk!.RateFactor, Practices = progress.Trunk.Practices, Trunk = null, OptimizerStart = progress.Trunk.OptimizerStart + progress.Step - progress.StageStart };
        }
        if (to.Branch)
        {
            parts.Branches!.Leave();
            progress = progress with { Trunk = new Trunk(progress.RateFactor, progress.OptimizerStart, progress.Practices) };
        }
        if (to.Moments == MomentRule.Reset)
        {
            using var _ = no_grad();
            foreach (var slot in parts.Optimizer.Slots) slot.Values.zero_();
            progress = progress with { OptimizerStart = progress.Step };
        }
        // What was usual in one text says nothing about spikes in another.
        State.Progress = progress with { Stage = progress.Stage + 1, StageStart = progress.Step, Finished = [.. progress.Finished, progress.Cursor], Mixture = null, EarlierMixtures = Earlier(progress), FirstTotal = 0, EarlierTotals = [], Cursor = 0, LeftOut = [], Losses = [], Norms = [] };
        RestorePractices();
        fallback?.Take(State);
    }

    /// <summary>The decisions of finished stages' mixtures, for practices that read their samples again; null while none had any.</summary>
    private static IReadOnlyList<MixtureRecord?>? Earlier(Progress progress) => progress.Mixture is null && progress.EarlierMixtures is null ? null
        : [.. progress.EarlierMixtures ?? Enumerable.Repeat<MixtureRecord?>(null, progress.Stage), progress.Mixture];

    /// <summary>
    /// Whether the state may be saved here. What a roll-back goes back to is not in a checkpoint; where every checkpoint is
    /// itself such a point, a resumed run goes back to the same one.
    /// </summary>
    public bool IsSavePoint => fallback is null || IsFallbackPoint;

    private bool IsFallbackPoint => State.Progress.Step % SnapshotEvery == 0 || State.Progress.Step == State.Progress.StageStart;

    /// <summary>Goes back to the newest point that may be saved (none but with roll-back and a snapshot every several steps).</summary>
    public void ReturnToSavePoint()
    {
        if (IsSavePoint) return;
        fallback!.Restore(State);
        parts.Model.ParametersChanged();
        RestorePractices();
    }

    // What is measured may not bend the path: where the interval is worked out, a roll-back goes back one step.
    private long SnapshotEvery => Math.Max(1, parts.Recipe.Resilience.Snapshot.Length?.ToSteps(parts.TotalSteps, parts.TokensPerStep) ?? 1);

    private void TakeFallback()
    {
        if (fallback is not null && (fallback.Progress is null || IsFallbackPoint)) fallback.Take(State);
    }

    private void PassLeftOut()
    {
        while (State.Progress.LeftOut.Contains(State.Progress.Cursor))
        {
            State.Progress = State.Progress with
            {
                Cursor = State.Progress.Cursor + FreshRows,
                LeftOut = [.. State.Progress.LeftOut.Where(position => position != State.Progress.Cursor)],
            };
        }
    }

    private void Refuse(string reason, TokenBatch batch, int freshRows)
    {
        var progress = State.Progress;
        var action = progress.Refusals + 1 >= spikes.Patience ? SpikeAction.Stop : spikes.Action;
        tell(new StepRefused(progress.Step + 1, reason, Core.Recipes.OptionNames.ToKey(action.ToString()), batch.SampleIds));
        var refused = progress.Cursor;
        switch (action)
        {
            case SpikeAction.Stop:
                IsStopped = true;
                throw PerennialException.Failed($"step {progress.Step + 1} was refused: {reason}; the run stops (training.on-spike), samples {string.Join(", ", batch.SampleIds.Take(4))}{(batch.Rows > 4 ? ", …" : "")}; the state is saved: go on without these samples by --set training.on-spike.action=skip");
            case SpikeAction.RollBack:
                fallback!.Restore(State);
                parts.Model.ParametersChanged();
                RestorePractices();
                State.Progress = State.Progress with { LeftOut = [.. State.Progress.LeftOut, .. progress.LeftOut.Except(State.Progress.LeftOut), refused], Refusals = progress.Refusals + 1 };
                // The batch stays left out whenever the run comes by again.
                fallback.Take(State);
                break;
            default:
                State.Progress = progress with
                {
                    Cursor = refused + freshRows,
                    Mixture = mixing.Record,
                    RateFactor = action == SpikeAction.LowerRate ? progress.RateFactor / 2 : progress.RateFactor,
                    Refusals = progress.Refusals + 1,
                };
                break;
        }
    }

    /// <summary>Gives practices their small states back after the progress was replaced.</summary>
    public void RestorePractices()
    {
        mixing.Synchronize();
        for (var i = 0; i < parts.Practices.Count && i < State.Progress.Practices.Count; i++)
        {
            if (State.Progress.Practices[i] is { } saved) parts.Practices[i].Load(saved);
        }
    }

    /// <summary>Frees what it holds of its own.</summary>
    public void Release()
    {
        fallback?.Dispose();
        pass.Dispose();
    }
}
