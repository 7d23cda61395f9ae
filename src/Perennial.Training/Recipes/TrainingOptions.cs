using System.ComponentModel.DataAnnotations;
using Perennial.Core;

namespace Perennial.Training.Recipes;

/// <summary>Precision as recipes name it.</summary>
public enum PrecisionChoice
{
    /// <summary>bfloat16 where the processor has instructions for it, float32 elsewhere; the choice is written into the run folder.</summary>
    Auto,

    /// <summary>float32 everywhere.</summary>
    Float32,

    /// <summary>bfloat16 products over float32 master weights.</summary>
    Bfloat16,
}

/// <summary>How gradients are added up over the rows of a step.</summary>
public enum SumChoice
{
    /// <summary>As floating-point numbers: the last bits depend on who computes which rows.</summary>
    Fast,

    /// <summary>As multiples of 2⁻⁴⁴ in 64-bit integers: the same bits however micro-batches are spread over processes, at twice the traffic.</summary>
    Exact,
}

/// <summary>What dropout's random streams are keyed by.</summary>
public enum StreamChoice
{
    /// <summary>The sample: masks are the same whoever computes it.</summary>
    SampleKeyed,

    /// <summary>The rank and its row number, as most trainers do: for comparisons only, since masks then change with every change of membership.</summary>
    RankKeyed,
}

/// <summary>The recipe's <c>training:</c>.</summary>
public sealed record TrainingOptions : IValidatedOptions
{
    /// <summary>Tokens to train on (rounded up to whole steps); give this or <see cref="Steps"/>. 1M when neither is given.</summary>
    [Range(1, long.MaxValue)]
    public Count? Tokens { get; init; }

    /// <summary>Steps to train; give this or <see cref="Tokens"/>.</summary>
    [Range(1, long.MaxValue)]
    public Count? Steps { get; init; }

    /// <summary>Windows a step.</summary>
    [Range(1, 1_000_000)]
    public int Batch { get; init; } = 32;

    /// <summary>Windows at one time; gradients add up over the step. By default as many as make about 2,048 tokens, which keeps activations in the cache.</summary>
    [Range(1, 1_000_000)]
    public int? MicroBatch { get; init; }

    /// <summary>Precision of matrix products.</summary>
    public PrecisionChoice Precision { get; init; } = PrecisionChoice.Auto;

    /// <summary>Whether activations are computed again in backward instead of kept: less memory, about a third more time, the same bits.</summary>
    public bool CheckpointActivations { get; init; }

    /// <summary>How gradients are added up; <c>exact</c> needs a micro-batch, the block of rows that stays together.</summary>
    public SumChoice Sums { get; init; } = SumChoice.Fast;

    /// <summary>What dropout's random streams are keyed by; <c>rank-keyed</c> is for comparisons only.</summary>
    public StreamChoice Streams { get; init; } = StreamChoice.SampleKeyed;

    /// <summary>
    /// Whether every layer is updated as soon as backward has its gradient, whose memory the next layer's then takes: the whole gradient never
    /// exists. Needs the whole batch at one time (<c>micro-batch: BATCH</c>, the default then), no global clip (<c>optimizer.clip: 0</c>) and one process; a gradient that is not finite stops the run.
    /// </summary>
    public bool PerLayer { get; init; }

    /// <summary>With <see cref="PerLayer"/>: largest norm of one tensor's gradient; 0 means no clipping.</summary>
    [Range(0.0, double.MaxValue)]
    public double PerLayerClip { get; init; }

    /// <summary>Threads for tensor work; the number of processors by default. Part of what fixes the bits.</summary>
    [Range(1, 1024)]
    public int? Threads { get; init; }

    /// <summary>What happens to a step whose loss or gradient is not finite or spikes.</summary>
    public SpikeOptions OnSpike { get; init; } = new();

    /// <summary>Steps of the whole run for a number of tokens a step.</summary>
    public long TotalSteps(long tokensPerStep) => Steps?.Value ?? ((Tokens?.Value ?? 1_000_000) + tokensPerStep - 1) / tokensPerStep;

    /// <inheritdoc/>
    public IEnumerable<(string Key, string Problem)> Problems()
    {
        if (Tokens is not null && Steps is not null) yield return ("steps", "and 'tokens' say the same thing; give one of them");
        if (Sums == SumChoice.Exact && MicroBatch is null) yield return ("sums", "need 'micro-batch' to be exact: the block of rows whose gradient is one number of the sum");
        if (PerLayer && MicroBatch is { } rows && rows != Batch) yield return ("micro-batch", $"must be the whole batch ({Batch}) with per-layer: gradients cannot add up in memory that they share");
        if (PerLayerClip > 0 && !PerLayer) yield return ("per-layer-clip", "is read only with per-layer: true; clip globally with optimizer.clip");
        if (PerLayer && Sums == SumChoice.Exact) yield return ("sums", "cannot be exact with per-layer: the whole gradient never exists");
        if (MicroBatch > Batch) yield return ("micro-batch", $"must be at most batch ({Batch})");
    }
}

/// <summary>What the policy does with a step that must not be committed.</summary>
public enum SpikeAction
{
    /// <summary>Leave the batch out and go on.</summary>
    Skip,

    /// <summary>Go back to the last snapshot in memory and leave the batch out on the way.</summary>
    RollBack,

    /// <summary>Leave the batch out and halve the learning rate from here on.</summary>
    LowerRate,

    /// <summary>Save and stop with exit code 1.</summary>
    Stop,
}

/// <summary>When a step is refused, and what then.</summary>
public sealed record SpikeOptions
{
    /// <summary>What to do.</summary>
    public SpikeAction Action { get; init; } = SpikeAction.Skip;

    /// <summary>How many standard deviations above the recent mean loss or gradient norm make a spike; 0 tests finiteness only.</summary>
    [Range(0.0, double.MaxValue)]
    public double Threshold { get; init; } = 8;

    /// <summary>Committed steps that the mean and deviation are taken over.</summary>
    [Range(8, 100_000)]
    public int Window { get; init; } = 128;

    /// <summary>Refusals in a row after which the run stops whatever the action.</summary>
    [Range(1, 100_000)]
    public int Patience { get; init; } = 20;
}
