using System.Diagnostics;
using Perennial.Data;
using Perennial.Models;
using Perennial.Objectives;
using Perennial.Training.Parallel;
using Perennial.Training.Parallel.Policies;
using Perennial.Training.Recipes;
using static TorchSharp.torch;

namespace Perennial.Training.Loop;

/// <summary>Forward and backward of a batch in pieces: the flat gradient and the loss.</summary>
/// <param name="parts">The run.</param>
/// <param name="passes">How this process takes its micro-batches, where it is not one after another through the whole model.</param>
internal sealed class GradientPass(RunParts parts, IPasses? passes = null) : IDisposable
{
    private readonly int rows = parts.Recipe.Training.MicroBatch ?? MicroBatches.DefaultRows(parts.Recipe.Training.Batch, parts.Config.Context);
    private readonly ExactSums? exact = parts.Recipe.Training.Sums == SumChoice.Exact ? new ExactSums(parts.State.Parameters.Values.NumberOfElements, parts.Recipe.Training.Batch) : null;

    private IObjective Objective => parts.Stage.Objective;

    /// <summary>One process's rows of a step's batch; loss and gradient are parts of those of the whole batch.</summary>
    public StepWork Run(TokenBatch batch, StepShares shares, int rank)
    {
        var clock = Stopwatch.GetTimestamp();
        // Rows that nobody computes are not part of the step.
        var normalizer = (double)Math.Max(1, Objective.Targets(shares.Rows == batch.Rows ? batch : BatchRows.Take(batch, shares.Covered)));
        parts.Model.Parameters.ClearGradients();
        exact?.Clear();
        var (sum, done) = (0.0, 0);
        if (passes is not null) sum = passes.Run([.. shares.ByRank[rank].SelectMany(range => MicroBatches.Of(BatchRows.Take(batch, range), rows))], normalizer, Prepare);
        else foreach (var piece in shares.ByRank[rank].SelectMany(range => MicroBatches.Of(BatchRows.Take(batch, range), rows)))
        {
            using var scope = NewDisposeScope();
            Prepare(piece);
            var loss = Objective.Loss(parts.Model, piece, normalizer);
            loss.backward();
            var part = loss.item<float>();
            sum += part;
            if (exact is null) continue;
            parts.State.Parameters.CompleteGradients();
            exact.Add(parts.State.Parameters.Gradients, part);
            parts.State.Parameters.ClearGradients();
        }
        if (exact is null) parts.Model.Parameters.CompleteGradients();
        return new(sum, parts.State.Parameters.Gradients, exact, done, Stopwatch.GetElapsedTime(clock).TotalSeconds);

        void Prepare(TokenBatch piece)
        {
            parts.Model.Dropout = parts.Config.Dropout > 0 ? new DropoutKey(parts.Recipe.Seed, parts.State.Progress.Step + 1, Streams(piece, rank, done)) : null;
            done += piece.Rows;
        }
    }

    /// <summary>The gradient of a batch's mean loss, without dropout, on this process alone; returns the loss, nats a target.</summary>
    public double Alone(TokenBatch batch)
    {
        var normalizer = (double)Math.Max(1, Objective.Targets(batch));
        parts.Model.Dropout = null;
        parts.State.Parameters.ClearGradients();
        var sum = 0.0;
        foreach (var piece in MicroBatches.Of(batch, rows))
        {
            using var scope = NewDisposeScope();
            var loss = Objective.Loss(parts.Model, piece, normalizer);
            loss.backward();
            sum += loss.item<float>();
        }
        parts.State.Parameters.CompleteGradients();
        return sum;
    }

    public void Dispose() => exact?.Dispose();

    /// <summary>What names the random streams of a piece's rows: their samples, or (the control) the rank and its rows, counted from <paramref name="first"/>.</summary>
    private IReadOnlyList<long> Streams(TokenBatch piece, int rank, int first) => parts.Recipe.Training.Streams == StreamChoice.SampleKeyed ? piece.SampleIds
        : [.. Enumerable.Range(first, piece.Rows).Select(row => (1L << 40) + ((long)rank << 20) + row)];
}
