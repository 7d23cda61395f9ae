namespace Perennial.Evaluation.Dynamics;

/// <summary>When a curve has most of what it will gain.</summary>
public static class Saturation
{
    /// <summary>Tokens at which a metric first has a share of its gain from the first moment to the last, both of curves smoothed by medians of three; linear in log tokens between moments. NaN where the metric moves by less than <paramref name="least"/>.</summary>
    /// <param name="run">The run.</param>
    /// <param name="metric">The metric.</param>
    /// <param name="share">The share of the gain, 0 to 1.</param>
    /// <param name="least">Smallest motion that counts as one.</param>
    public static double Tokens(TrainingCurve run, string metric, double share = 0.9, double least = 0)
    {
        ArgumentNullException.ThrowIfNull(run);
        var values = RankCorrelation.MedianOfThree([.. run.Moments.Select(moment => moment.Metrics[metric])]);
        var gain = values[^1] - values[0];
        if (Math.Abs(gain) <= least) return double.NaN;
        var reached = values.Select(value => (value - values[0]) / gain).ToList();
        var after = reached.FindIndex(value => value >= share);
        if (after <= 0) return run.Moments[Math.Max(0, after)].Tokens;
        var (low, high) = (Math.Log(Math.Max(1, run.Moments[after - 1].Tokens)), Math.Log(run.Moments[after].Tokens));
        return Math.Exp(low + (high - low) * (share - reached[after - 1]) / (reached[after] - reached[after - 1]));
    }
}
