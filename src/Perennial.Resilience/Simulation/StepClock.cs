namespace Perennial.Resilience.Simulation;

/// <summary>Where the wall-clock time of a run went, in seconds. The parts sum to the whole.</summary>
/// <param name="Useful">Steps that count, at the speed of the whole job.</param>
/// <param name="Degraded">What those steps took longer with fewer ranks.</param>
/// <param name="Stalls">Waiting for snapshots and checkpoints.</param>
/// <param name="Down">Recovering, joining, waiting for nodes.</param>
/// <param name="Lost">Steps done again, and steps cut short.</param>
public sealed record TimeShares(double Useful, double Degraded, double Stalls, double Down, double Lost)
{
    /// <summary>All of it.</summary>
    public double Total => Useful + Degraded + Stalls + Down + Lost;

    /// <summary>Each part times a factor.</summary>
    public TimeShares Scaled(double factor) => new(Useful * factor, Degraded * factor, Stalls * factor, Down * factor, Lost * factor);

    /// <summary>Part by part.</summary>
    public static TimeShares operator +(TimeShares left, TimeShares right)
    {
        ArgumentNullException.ThrowIfNull(left);
        ArgumentNullException.ThrowIfNull(right);
        return new(left.Useful + right.Useful, left.Degraded + right.Degraded, left.Stalls + right.Stalls, left.Down + right.Down, left.Lost + right.Lost);
    }
}

/// <summary>The steps of a run against the wall clock, in closed form between events: no step is ticked through.</summary>
/// <param name="wholeStep">Step seconds with all ranks.</param>
/// <param name="snapshotEvery">Steps between snapshots; 0 for none.</param>
/// <param name="snapshotStall">Seconds of a snapshot.</param>
/// <param name="checkpointEvery">Steps between checkpoints.</param>
/// <param name="checkpointStall">Seconds of a checkpoint.</param>
internal sealed class StepClock(double wholeStep, long snapshotEvery, double snapshotStall, long checkpointEvery, double checkpointStall)
{
    private double useful, degraded, stalls, down, lost;

    /// <summary>Committed steps.</summary>
    public long Steps { get; private set; }

    /// <summary>Steps from the newest checkpoint to a step. The one of that step itself is left out where it is still being written.</summary>
    public long SinceCheckpoint(long step, bool isWriting) => step % checkpointEvery == 0 && isWriting ? Math.Min(step, checkpointEvery) : step % checkpointEvery;

    /// <summary>Steps from the newest snapshot, or checkpoint, to a step.</summary>
    public long SinceSnapshot(long step) => snapshotEvery == 0 ? SinceCheckpoint(step, isWriting: false) : Math.Min(step % checkpointEvery, step % snapshotEvery);

    public TimeShares Shares => new(useful, degraded, stalls, down, lost);

    /// <summary>Steps done within a stretch of running, and the seconds of the step that is under way.</summary>
    public (long Steps, double Partial) Within(double seconds, double step)
    {
        // Times are differences of large numbers: a step that lacks a millionth is done.
        var enough = seconds + 1e-6 * step;
        var (low, high) = (0L, (long)(enough / step) + 1);
        while (low < high)
        {
            var middle = (low + high + 1) / 2;
            if (SecondsOf(middle, step) <= enough) low = middle;
            else high = middle - 1;
        }
        return (low, Math.Max(0, seconds - SecondsOf(low, step)));
    }

    /// <summary>Seconds of the next steps, stalls included.</summary>
    public double SecondsOf(long steps, double step) => steps * step + StallsOf(steps);

    /// <summary>Steps after which a planned change can come, when so many were done since the last commit: the step under way, or up to its next checkpoint.</summary>
    public long UntilBoundary(long done, bool atCheckpoint) =>
        atCheckpoint ? ((Steps + done) / checkpointEvery + 1) * checkpointEvery - Steps : done + 1;

    /// <summary>Commits a stretch of running that ends inside a step or between two.</summary>
    public void Run(long steps, double partial, double step)
    {
        useful += steps * wholeStep;
        degraded += steps * (step - wholeStep);
        stalls += StallsOf(steps);
        lost += partial;
        Steps += steps;
    }

    /// <summary>Goes back so many steps, at most to the beginning: they were useless.</summary>
    public void RollBack(long steps)
    {
        steps = Math.Min(steps, Steps);
        useful -= steps * wholeStep;
        lost += steps * wholeStep;
        Steps -= steps;
    }

    /// <summary>Time in which nothing ran.</summary>
    public void Idle(double seconds) => down += seconds;

    private double StallsOf(long steps) =>
        ((Steps + steps) / checkpointEvery - Steps / checkpointEvery) * checkpointStall
        + (snapshotEvery == 0 ? 0 : ((Steps + steps) / snapshotEvery - Steps / snapshotEvery) * snapshotStall);
}
