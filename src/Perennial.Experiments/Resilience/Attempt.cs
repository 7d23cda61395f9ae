using Perennial.Resilience.Restart;

namespace Perennial.Experiments.Resilience;

/// <summary>An attempt that was let run to its end, so that every policy can be played on it.</summary>
/// <param name="Series">What it recorded, step by step.</param>
/// <param name="Succeeded">How it ended.</param>
/// <param name="Length">How long it takes, in steps.</param>
internal sealed record Attempt(RunSeries Series, bool Succeeded, double Length);

/// <summary>Time spent on attempts until so many succeeded, under a rule that may stop them.</summary>
internal static class AttemptReplay
{
    /// <summary>Plays attempts in order, over and over where they do not suffice.</summary>
    /// <param name="attempts">The attempts.</param>
    /// <param name="wanted">Successes wanted.</param>
    /// <param name="overhead">Cost of each attempt.</param>
    /// <param name="stopsAt">When an attempt is stopped; null to let it run.</param>
    /// <returns>Time a success.</returns>
    public static double TimeOf(IReadOnlyList<Attempt> attempts, int wanted, double overhead, Func<Attempt, double?> stopsAt)
    {
        var (time, successes) = (0.0, 0);
        foreach (var attempt in attempts)
        {
            var stopped = stopsAt(attempt);
            time += overhead + (stopped ?? attempt.Length);
            if (stopped is null && attempt.Succeeded) successes++;
            if (successes == wanted) break;
        }
        // Every attempt succeeds or not by itself: what more attempts would cost is known from those that were made.
        return successes == 0 ? double.PositiveInfinity : time / successes;
    }
}
