using System.Diagnostics;
using Perennial.Core;
using Perennial.Data;
using Perennial.Models;
using Perennial.Optimization;
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
internal sealed class TrainingLoop(RunParts parts, IReplicas replicas, IPracticeServices services, Action<RunEvent> tell, Action beforeUpdate, CancellationToken cancellation)
{
    private readonly SpikeOptions spikes = parts.Recipe.Training.OnSpike;
    private readonly int rows = parts.Recipe.Training.MicroBatch ?? MicroBatches.DefaultRows(parts.Recipe.Training.Batch, parts.Config.Context);
    private readonly PerLayerUpdates? perLayer = parts.Recipe.Training.PerLayer ? new PerLayerUpdates(parts) : null;
    private readonly StateSnapshot? fallback = parts.Recipe.Training.OnSpike.Action == SpikeAction.RollBack ? new StateSnapshot(parts.State) : null;

    private readonly ExactSums? exact = parts.Recipe.Training.Sums == SumChoice.Exact ? new ExactSums(parts.State.Parameters.Values.NumberOfElements, parts.Recipe.Training.Batch) : null;

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

    private TrainingState State => parts.State;

    private PracticeContext Context => new(parts.Model, State.Progress.Step, parts.TotalSteps, parts.TokensPerStep, parts.Recipe.Seed, services);

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
        var batch = parts.Stream.Read(progress.Cursor, parts.Recipe.Training.Batch);
        foreach (var practice in parts.Practices) batch = practice.BeforeBatch(Context, batch);
        var shares = replicas.Shares(batch.Rows);
        var rate = parts.Rates.Rate * progress.RateFactor * Factor(progress.Step);
        var (loss, norm, refusal) = perLayer is null ? TakeWhole(batch, shares, rate)
            : perLayer.Run(batch, progress.Step + 1 - progress.OptimizerStart, rate, loss => SpikeTest.Reason(spikes, progress, loss, norm: 0), beforeUpdate);
        if (perLayer is not null) Agreement = new StepAgreement(loss, cancellation.IsCancellationRequested, Regroup: false);
        if (refusal is not null)
        {
            Refuse(refusal, batch);
            return false;
        }
        var start = parts.Restarts?.After(progress.Step + 1) ?? progress.OptimizerStart;
        parts.Model.ParametersChanged();
        State.Progress = progress with
        {
            Step = progress.Step + 1,
            OptimizerStart = start,
            Tokens = progress.Tokens + (long)shares.Rows * batch.Time,
            Cursor = progress.Cursor + parts.Recipe.Training.Batch,
            Refusals = 0,
            LastLoss = loss,
            Losses = SpikeTest.Remember(progress.Losses, loss, spikes.Window),
            Norms = SpikeTest.Remember(progress.Norms, norm, spikes.Window),
        };
        foreach (var practice in parts.Practices) practice.AfterStep(Context);
        RememberPractices();
        var seconds = Stopwatch.GetElapsedTime(clock).TotalSeconds;
        Work = (Work.Seconds + seconds, Work.Tokens + (long)shares.Rows * batch.Time);
        var done = new StepDone(State.Progress.Step, State.Progress.Tokens, loss, norm, rate, seconds, snapshotLag);
        LastTold = replicas.Epoch == 0 ? [done] : [done, new SamplesCommitted(done.Step, replicas.Epoch, [.. shares.ByRank.Select(rows => (IReadOnlyList<long>)[.. rows.SelectMany(range => batch.SampleIds[range])])])];
        foreach (var told in LastTold) tell(told);
        return true;
    }

    /// <summary>Forward and backward of this process's rows, the whole gradient judged, then one update.</summary>
    private StepResult TakeWhole(TokenBatch batch, StepShares shares, double rate)
    {
        var progress = State.Progress;
        // Rows that nobody computes are not part of the step.
        var targets = parts.Objective.Targets(shares.Rows == batch.Rows ? batch : BatchRows.Take(batch, shares.Covered));
        Agreement = replicas.Exchange(ForwardBackward(batch, shares, Math.Max(1, targets)), cancellation.IsCancellationRequested);
        foreach (var practice in parts.Practices) practice.AfterBackward(Context);
        var norm = GradientNorm.Of(State.Parameters.Gradients);
        if (SpikeTest.Reason(spikes, progress, Agreement.Loss, norm.Value) is { } reason) return new(Agreement.Loss, norm.Value, reason);
        beforeUpdate();
        using (no_grad()) parts.Optimizer.Step(progress.Step + 1 - progress.OptimizerStart, rate, norm.ClipScale(parts.Rates.Clip));
        return new(Agreement.Loss, norm.Value, null);
    }

    private double Factor(long step) => parts.Restarts?.Factor(step, Scheduled) ?? Scheduled(step);

    private double Scheduled(long step) => parts.Schedule.Factor(step, parts.TotalSteps, parts.TokensPerStep);

    /// <summary>Small practice states are part of the progress, so that hash, snapshot and checkpoint see one value.</summary>
    public void RememberPractices() => State.Progress = State.Progress with { Practices = [.. parts.Practices.Select(practice => practice.Save())] };

    /// <summary>This process's rows; loss and gradient are parts of those of the whole batch.</summary>
    private StepWork ForwardBackward(TokenBatch batch, StepShares shares, double normalizer)
    {
        var clock = Stopwatch.GetTimestamp();
        State.Parameters.ClearGradients();
        exact?.Clear();
        var (sum, done) = (0.0, 0);
        foreach (var piece in shares.ByRank[replicas.Rank].SelectMany(range => MicroBatches.Of(BatchRows.Take(batch, range), rows)))
        {
            using var scope = NewDisposeScope();
            parts.Model.Dropout = parts.Config.Dropout > 0 ? new DropoutKey(parts.Recipe.Seed, State.Progress.Step + 1, Streams(piece, done)) : null;
            var loss = parts.Objective.Loss(parts.Model, piece, normalizer);
            loss.backward();
            var part = loss.item<float>();
            sum += part;
            done += piece.Rows;
            if (exact is null) continue;
            State.Parameters.CompleteGradients();
            exact.Add(State.Parameters.Gradients, part);
            State.Parameters.ClearGradients();
        }
        if (exact is null) State.Parameters.CompleteGradients();
        return new(sum, State.Parameters.Gradients, exact, done, Stopwatch.GetElapsedTime(clock).TotalSeconds);
    }

    /// <summary>What names the random streams of a piece's rows: their samples, or (the control) the rank and its rows, counted from <paramref name="first"/>.</summary>
    private IReadOnlyList<long> Streams(TokenBatch piece, int first) => parts.Recipe.Training.Streams == StreamChoice.SampleKeyed ? piece.SampleIds
        : [.. Enumerable.Range(first, piece.Rows).Select(row => (1L << 40) + ((long)replicas.Rank << 20) + row)];

    /// <summary>
    /// Whether the state may be saved here. What a roll-back goes back to is not in a checkpoint; where every checkpoint is
    /// itself such a point, a resumed run goes back to the same one.
    /// </summary>
    public bool IsSavePoint => fallback is null || State.Progress.Step % SnapshotEvery == 0;

    /// <summary>Goes back to the newest point that may be saved (none but with roll-back and a snapshot every several steps).</summary>
    public void ReturnToSavePoint()
    {
        if (IsSavePoint) return;
        fallback!.Restore(State);
        parts.Model.ParametersChanged();
        RestorePractices();
    }

    private long SnapshotEvery => Math.Max(1, parts.Recipe.Resilience.Snapshot.ToSteps(parts.TotalSteps, parts.TokensPerStep));

    private void TakeFallback()
    {
        if (fallback is not null && (fallback.Progress is null || State.Progress.Step % SnapshotEvery == 0)) fallback.Take(State);
    }

    private void PassLeftOut()
    {
        while (State.Progress.LeftOut.Contains(State.Progress.Cursor))
        {
            State.Progress = State.Progress with
            {
                Cursor = State.Progress.Cursor + parts.Recipe.Training.Batch,
                LeftOut = [.. State.Progress.LeftOut.Where(position => position != State.Progress.Cursor)],
            };
        }
    }

    private void Refuse(string reason, TokenBatch batch)
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
                    Cursor = refused + parts.Recipe.Training.Batch,
                    RateFactor = action == SpikeAction.LowerRate ? progress.RateFactor / 2 : progress.RateFactor,
                    Refusals = progress.Refusals + 1,
                };
                break;
        }
    }

    /// <summary>Gives practices their small states back after the progress was replaced.</summary>
    public void RestorePractices()
    {
        for (var i = 0; i < parts.Practices.Count && i < State.Progress.Practices.Count; i++)
        {
            if (State.Progress.Practices[i] is { } saved) parts.Practices[i].Load(saved);
        }
    }

    /// <summary>Frees what it holds of its own.</summary>
    public void Release()
    {
        fallback?.Dispose();
        exact?.Dispose();
    }
}
