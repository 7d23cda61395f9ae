using System.Diagnostics;
using Perennial.Data;
using Perennial.Models;
using Perennial.Objectives;
using Perennial.Tensors;
using Perennial.Training.Parallel;
using Perennial.Training.Parallel.Policies;
using Perennial.Training.Recipes;

namespace Perennial.Training.Loop;

/// <summary>Forward and backward of a batch in pieces: the flat gradient and the loss.</summary>
internal sealed class GradientPass : IDisposable
{
    private readonly RunParts parts;
    private readonly IPasses passes;
    private readonly int rows;
    private readonly ExactSums? exact;
    private readonly GradientBuckets? buckets;

    /// <param name="parts">The run.</param>
    /// <param name="replicas">Who takes the steps together.</param>
    /// <param name="passes">How this process takes its micro-batches, where it is not one after another through the whole model.</param>
    public GradientPass(RunParts parts, IReplicas replicas, IPasses? passes = null)
    {
        this.parts = parts;
        rows = parts.Recipe.Training.MicroBatch ?? MicroBatches.DefaultRows(parts.Recipe.Training.Batch, parts.Config.Context);
        exact = parts.Recipe.Training.Sums == SumChoice.Exact ? new ExactSums(Parameters.Layout.Length, parts.Recipe.Training.Batch) : null;
        this.passes = passes ?? new PlainPasses(() => Objective, parts.Model, exact);
        if (replicas.AddsUp) buckets = new GradientBuckets(Parameters.Layout, BucketBytes, range => replicas.Reduce(Parameters.Gradients, range, exact));
    }

    private IObjective Objective => parts.Stage.Objective;

    private long BucketBytes => (long)(parts.Recipe.Parallel ?? new Recipes.ParallelOptions()).Bucket << 20;

    private FlatParameters Parameters => parts.Model.Parameters;

    /// <summary>One process's rows of a step's batch; loss and gradient are parts of those of the whole batch.</summary>
    public StepWork Run(TokenBatch batch, StepShares shares, int rank)
    {
        var clock = Stopwatch.GetTimestamp();
        // Rows that nobody computes are not part of the step.
        var normalizer = (double)Math.Max(1, Objective.Targets(shares.Rows == batch.Rows ? batch : BatchRows.Take(batch, shares.Covered)));
        Parameters.ClearGradients();
        exact?.Clear();
        var done = 0;
        IReadOnlyList<TokenBatch> pieces = [.. shares.ByRank[rank].SelectMany(range => MicroBatches.Of(BatchRows.Take(batch, range), rows))];
        // Where one pass through the model is all that makes its gradient, what that pass has completed may leave.
        if (Objective is IVocabularyParallel) Parameters.GradientsWritten = entries => buckets?.Written(entries);
        var sum = 0.0;
        try
        {
            sum = passes.Run(pieces, normalizer, Prepare, () => buckets?.Begin(AddExact));
        }
        finally
        {
            Parameters.GradientsWritten = null;
        }
        Parameters.CompleteGradients();
        if (buckets is not null) buckets.Flush();
        else AddExact(new(0, Parameters.Layout.Length));
        return new(sum, Parameters.Gradients, exact, buckets, done, Stopwatch.GetElapsedTime(clock).TotalSeconds);

        void Prepare(TokenBatch piece)
        {
            parts.Model.Dropout = parts.Config.Dropout > 0 ? new DropoutKey(parts.Recipe.Seed, parts.State.Progress.Step + 1, Streams(piece, rank, done)) : null;
            done += piece.Rows;
        }

        void AddExact(Range64 range)
        {
            if (pieces.Count > 0) exact?.Add(Parameters.Gradients, range);
        }
    }

    /// <summary>The gradient of a batch's mean loss, without dropout, on this process alone; returns the loss, nats a target.</summary>
    public double Alone(TokenBatch batch)
    {
        var normalizer = (double)Math.Max(1, Objective.Targets(batch));
        parts.Model.Dropout = null;
        Parameters.ClearGradients();
        var sum = new PlainPasses(() => Objective, parts.Model).Run([.. MicroBatches.Of(batch, rows)], normalizer, _ => { }, () => { });
        Parameters.CompleteGradients();
        return sum;
    }

    public void Dispose()
    {
        buckets?.Dispose();
        exact?.Dispose();
    }

    /// <summary>What names the random streams of a piece's rows: their samples, or (the control) the rank and its rows, counted from <paramref name="first"/>.</summary>
    private IReadOnlyList<long> Streams(TokenBatch piece, int rank, int first) => parts.Recipe.Training.Streams == StreamChoice.SampleKeyed ? piece.SampleIds
        : [.. Enumerable.Range(first, piece.Rows).Select(row => (1L << 40) + ((long)rank << 20) + row)];
}
