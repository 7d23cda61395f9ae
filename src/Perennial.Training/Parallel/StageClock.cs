using Perennial.Core;
using Perennial.Data;

namespace Perennial.Training.Parallel;

/// <summary>What a process measured of its own work.</summary>
/// <param name="Layer">Seconds that a row took in one of its layers; 0 where that is not known yet.</param>
/// <param name="Head">Seconds that a row took in head and loss; 0 where they are not here, or it is not known yet.</param>
internal readonly record struct StagePace(double Layer, double Head);

/// <summary>
/// The time that a process computes by itself in a step: in its layers, and in head and loss. What it waits for others is left out, so that the figures tell its own
/// speed and what layers cost, wherever in a pipeline it stands. Used by the thread that computes.
/// </summary>
/// <param name="time">The time; the system's by default.</param>
internal sealed class StageClock(TimeProvider? time = null)
{
    private const int Window = 16;
    private readonly TimeProvider time = time ?? TimeProvider.System;
    private readonly Queue<StagePace> recent = new();
    private long waited, head, begun, hidden, hiddenWaited;

    /// <summary>The median of recent steps; of none before there are enough.</summary>
    public StagePace Pace { get; private set; }

    /// <summary>Now, for <see cref="Waited"/>.</summary>
    public long Now => time.GetTimestamp();

    /// <summary>A call in which this process waits for others.</summary>
    public void Wait(Action call)
    {
        var start = Now;
        call();
        Waited(start);
    }

    /// <summary>This process has waited for others.</summary>
    /// <param name="start">Since when.</param>
    public void Waited(long start) => waited += Now - start;

    /// <summary>The layers have given their output; what follows is the head.</summary>
    public void HiddenDone() => (hidden, hiddenWaited) = (Now, waited);

    /// <summary>The loss is there, and with it the gradient of the layers' output.</summary>
    public void LossDone()
    {
        // A loss that asked for nothing of the layers' output has no head.
        if (hidden > 0) head += Now - hidden - (waited - hiddenWaited);
        hidden = 0;
    }

    /// <summary>Micro-batches of a step begin.</summary>
    public void Begin() => (waited, head, hidden, begun) = (0, 0, 0, Now);

    /// <summary>They are done.</summary>
    /// <param name="rows">Rows that were computed.</param>
    /// <param name="layers">Layers that are here.</param>
    public void End(int rows, int layers)
    {
        if (rows == 0 || layers == 0) return;
        var all = Now - begun - waited;
        recent.Enqueue(new(Seconds(all - head) / rows / layers, Seconds(head) / rows));
        if (recent.Count > Window) recent.Dequeue();
        if (recent.Count == Window) Pace = new(Quantile.Median(recent.Select(step => step.Layer)), Quantile.Median(recent.Select(step => step.Head)));
    }

    private double Seconds(long ticks) => (double)ticks / time.TimestampFrequency;
}

/// <summary>Measures what micro-batches take on this process.</summary>
/// <param name="passes">The micro-batches.</param>
/// <param name="clock">The clock.</param>
/// <param name="layers">Layers that are here.</param>
internal sealed class TimedPasses(IPasses passes, StageClock clock, int layers) : IPasses
{
    public double Run(IReadOnlyList<TokenBatch> pieces, double normalizer, Action<TokenBatch> before, Action last)
    {
        clock.Begin();
        var sum = passes.Run(pieces, normalizer, before, last);
        clock.End(pieces.Sum(piece => piece.Rows), layers);
        return sum;
    }
}
