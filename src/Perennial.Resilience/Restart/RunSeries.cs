namespace Perennial.Resilience.Restart;

/// <summary>
/// What a run has recorded up to now, one value a step in every series (same length). A series that the trainer does not record may be empty.
/// </summary>
public sealed record RunSeries
{
    /// <summary>Training loss, nats.</summary>
    public required IReadOnlyList<double> Loss { get; init; }

    /// <summary>Global gradient norm before clipping.</summary>
    public IReadOnlyList<double> GradientNorm { get; init; } = [];

    /// <summary>Norm of the update over the norm of the weights.</summary>
    public IReadOnlyList<double> UpdateRatio { get; init; } = [];

    /// <summary>Largest attention logit.</summary>
    public IReadOnlyList<double> AttentionLogit { get; init; } = [];

    /// <summary>1 where the gradient was clipped.</summary>
    public IReadOnlyList<double> Clipped { get; init; } = [];

    /// <summary>Overflows counted in bfloat16.</summary>
    public IReadOnlyList<double> Overflows { get; init; } = [];
}

/// <summary>The loss of earlier runs that succeeded, step by step.</summary>
/// <param name="Mean">Mean loss at each step.</param>
/// <param name="Spread">Standard deviation at each step, never 0.</param>
public sealed record ReferenceCurve(IReadOnlyList<double> Mean, IReadOnlyList<double> Spread)
{
    /// <summary>The curve of successful runs, as long as the shortest of them. Spreads are at least 1 % of the mean's size.</summary>
    /// <exception cref="ArgumentException">There is no run.</exception>
    public static ReferenceCurve Of(IReadOnlyList<RunSeries> successes)
    {
        ArgumentNullException.ThrowIfNull(successes);
        if (successes.Count == 0) throw new ArgumentException("a reference needs at least one successful run");
        var length = successes.Min(run => run.Loss.Count);
        var (mean, spread) = (new double[length], new double[length]);
        for (var step = 0; step < length; step++)
        {
            var at = step;
            mean[step] = successes.Average(run => run.Loss[at]);
            var variance = successes.Average(run => (run.Loss[at] - mean[at]) * (run.Loss[at] - mean[at]));
            spread[step] = Math.Max(Math.Sqrt(variance), Math.Max(1e-6, 0.01 * Math.Abs(mean[step])));
        }
        return new(mean, spread);
    }
}
