namespace Perennial.Resilience.Partition;

/// <summary>The timing of one step through a pipeline.</summary>
/// <param name="Seconds">First forward to last backward.</param>
/// <param name="BubbleShare">Share of the stages' time spent waiting.</param>
/// <param name="PeakWaves">Most waves in flight at once, by stage.</param>
public sealed record PipelineTiming(double Seconds, double BubbleShare, IReadOnlyList<int> PeakWaves);

/// <summary>Step times of a pipeline from the times of its stages.</summary>
public static class PipelineClock
{
    /// <summary>The closed form of paper 23: T = Σ t_p + (M−1)·max t_p. Exact when all stages are alike; 1F1B takes no longer where they differ.</summary>
    /// <param name="stageSeconds">t_p, forward and backward of one wave.</param>
    /// <param name="waves">M.</param>
    public static double Formula(IReadOnlyList<double> stageSeconds, long waves)
    {
        ArgumentNullException.ThrowIfNull(stageSeconds);
        return stageSeconds.Sum() + (waves - 1) * stageSeconds.Max();
    }

    /// <summary>
    /// Runs the 1F1B schedule: stage p does min(M, P−p) forwards, then alternates one backward and one forward, then the remaining backwards.
    /// </summary>
    /// <param name="forward">Forward seconds of every stage for one wave.</param>
    /// <param name="backward">Backward seconds.</param>
    /// <param name="waves">M, at least 1.</param>
    /// <param name="linkSeconds">Between neighbouring stages, each way; does not occupy the stages.</param>
    public static PipelineTiming OneForwardOneBackward(IReadOnlyList<double> forward, IReadOnlyList<double> backward, int waves, double linkSeconds = 0)
    {
        ArgumentNullException.ThrowIfNull(forward);
        ArgumentNullException.ThrowIfNull(backward);
        ArgumentOutOfRangeException.ThrowIfLessThan(waves, 1);
        var stages = forward.Count;
        var (forwardEnd, backwardEnd) = (new double[stages, waves], new double[stages, waves]);
        var (free, nextForward, nextBackward, peak) = (new double[stages], new int[stages], new int[stages], new int[stages]);
        for (var progress = true; progress;)
        {
            progress = false;
            for (var stage = 0; stage < stages; stage++)
            {
                while (Advance(stage)) progress = true;
            }
        }
        var seconds = free.Max();
        return new(seconds, 1 - waves * (forward.Sum() + backward.Sum()) / (stages * seconds), peak);

        // Does the stage's next operation if what it waits for is known; the order of operations is fixed, so times do not depend on the order of calls.
        bool Advance(int stage)
        {
            var (f, b) = (nextForward[stage], nextBackward[stage]);
            if (b == waves) return false;
            if (f < waves && f - b < Math.Min(waves, stages - stage))
            {
                if (stage > 0 && nextForward[stage - 1] <= f) return false;
                var ready = stage == 0 ? 0 : forwardEnd[stage - 1, f] + linkSeconds;
                free[stage] = forwardEnd[stage, f] = Math.Max(free[stage], ready) + forward[stage];
                nextForward[stage]++;
                peak[stage] = Math.Max(peak[stage], f + 1 - b);
            }
            else
            {
                if (stage < stages - 1 && nextBackward[stage + 1] <= b) return false;
                var ready = stage == stages - 1 ? forwardEnd[stage, b] : backwardEnd[stage + 1, b] + linkSeconds;
                free[stage] = backwardEnd[stage, b] = Math.Max(free[stage], ready) + backward[stage];
                nextBackward[stage]++;
            }
            return true;
        }
    }
}
