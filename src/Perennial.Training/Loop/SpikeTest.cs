using Perennial.Training.Recipes;
using Perennial.Training.State;

namespace Perennial.Training.Loop;

/// <summary>Whether a step may be committed, judged before anything moves.</summary>
public static class SpikeTest
{
    private const int SmallestHistory = 32;

    /// <summary>Why a step must not be committed, or null. A spike is a z-score over recent committed steps; deviations below 5 % of the mean count as 5 %.</summary>
    /// <param name="options">The recipe's rule.</param>
    /// <param name="progress">Recent losses and norms.</param>
    /// <param name="loss">The step's loss, nats a target.</param>
    /// <param name="norm">The step's global gradient norm before clipping.</param>
    public static string? Reason(SpikeOptions options, Progress progress, double loss, double norm)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(progress);
        if (!double.IsFinite(loss)) return $"the loss is {loss}";
        if (!double.IsFinite(norm)) return $"the gradient norm is {norm}";
        if (options.Threshold <= 0) return null;
        return Spike("loss", progress.Losses, loss, options.Threshold) ?? Spike("gradient norm", progress.Norms, norm, options.Threshold);
    }

    /// <summary>The history with one more committed value, cut to the window.</summary>
    public static IReadOnlyList<double> Remember(IReadOnlyList<double> history, double value, int window)
    {
        ArgumentNullException.ThrowIfNull(history);
        return [.. history.Skip(Math.Max(0, history.Count + 1 - window)), value];
    }

    private static string? Spike(string what, IReadOnlyList<double> history, double value, double threshold)
    {
        if (history.Count < SmallestHistory) return null;
        var mean = history.Average();
        var deviation = Math.Max(Math.Sqrt(history.Average(x => (x - mean) * (x - mean))), 0.05 * Math.Abs(mean));
        var score = (value - mean) / deviation;
        return score > threshold ? $"the {what} {value:G4} is {score:F1} standard deviations above its recent mean {mean:G4}" : null;
    }
}
