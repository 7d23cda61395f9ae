using Perennial.Core;

namespace Perennial.Resilience.Restart;

/// <summary>
/// The early signs of a failing run over its last W steps (paper 19 §5). Each is finite: a loss that is not a number counts as very bad.
/// </summary>
public static class FailureFeatures
{
    private const double Limit = 50;

    /// <summary>Names, in the order of <see cref="Of"/>.</summary>
    public static IReadOnlyList<string> Names { get; } =
        ["loss-z", "log-loss-slope", "gradient-ratio", "spikes", "update-ratio", "attention-logit", "clipped", "overflows"];

    /// <summary>The features of a run after its first <paramref name="steps"/> steps.</summary>
    /// <param name="run">The run.</param>
    /// <param name="reference">Successful runs.</param>
    /// <param name="steps">Steps seen, at least 2 and no more than recorded.</param>
    /// <param name="window">W.</param>
    /// <returns>One value a name, each in [−50, 50].</returns>
    public static double[] Of(RunSeries run, ReferenceCurve reference, int steps, int window)
    {
        ArgumentNullException.ThrowIfNull(run);
        ArgumentNullException.ThrowIfNull(reference);
        ArgumentOutOfRangeException.ThrowIfLessThan(steps, 2);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(steps, run.Loss.Count);
        var from = Math.Max(0, steps - Math.Max(2, window));
        var loss = Range(run.Loss, from, steps);
        double[] features =
        [
            LossZ(loss, from, reference),
            Slope([.. loss.Select(value => Math.Log(Math.Max(value, 1e-12)))]) * loss.Count,
            GradientRatio(Range(run.GradientNorm, 0, steps)),
            Spikes(Range(run.Loss, 0, steps), from),
            Mean(Range(run.UpdateRatio, from, steps)),
            Math.Log(1 + Math.Max(0, Range(run.AttentionLogit, from, steps).DefaultIfEmpty(0).Max())),
            Mean(Range(run.Clipped, from, steps)),
            Math.Log(1 + Range(run.Overflows, from, steps).Sum()),
        ];
        return [.. features.Select(value => double.IsNaN(value) ? Limit : Math.Clamp(value, -Limit, Limit))];
    }

    private static double LossZ(IReadOnlyList<double> loss, int from, ReferenceCurve reference)
    {
        var count = Math.Min(loss.Count, reference.Mean.Count - from);
        if (count <= 0) return 0;
        return Enumerable.Range(0, count).Average(i => (loss[i] - reference.Mean[from + i]) / reference.Spread[from + i]);
    }

    // Least squares, per step.
    private static double Slope(IReadOnlyList<double> values)
    {
        var centre = (values.Count - 1) / 2.0;
        var (sum, square) = (0.0, 0.0);
        for (var i = 0; i < values.Count; i++)
        {
            sum += (i - centre) * values[i];
            square += (i - centre) * (i - centre);
        }
        return sum / square;
    }

    private static double GradientRatio(IReadOnlyList<double> norms) => norms.Count == 0 ? 0 : Math.Log(Math.Max(norms[^1], 1e-12) / Math.Max(Quantile.Median(norms), 1e-12));

    // A spike is a loss above median + 6·MAD of what was seen before the window (or of the window itself when nothing was).
    private static double Spikes(IReadOnlyList<double> losses, int from)
    {
        var calm = from >= 8 ? Range(losses, Math.Max(0, from - 4 * (losses.Count - from)), from) : losses;
        var median = Quantile.Median(calm);
        var deviation = Math.Max(Quantile.Median([.. calm.Select(value => Math.Abs(value - median))]), 1e-6);
        return losses.Skip(from).Count(value => !(value <= median + 6 * deviation));
    }

    private static double Mean(IReadOnlyList<double> values) => values.Count == 0 ? 0 : values.Average();

    private static IReadOnlyList<double> Range(IReadOnlyList<double> values, int from, int end) => [.. values.Take(end).Skip(from)];
}
