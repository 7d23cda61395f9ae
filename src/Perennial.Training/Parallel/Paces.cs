using Perennial.Core;

namespace Perennial.Training.Parallel;

/// <summary>
/// Speeds of processes, from the seconds that each took for a row in recent steps. All processes see the same measurements, so all come to the
/// same speeds. They change only when that makes the step a fifth shorter: shares do not follow noise.
/// </summary>
internal sealed class Paces
{
    private const int Window = 16;
    private const double WorthIt = 1.2;
    private readonly Dictionary<long, Queue<double>> recent = [];
    private readonly Dictionary<long, double> speeds = [];

    /// <summary>The speed of a process; 1 until something else was measured.</summary>
    public double Of(long process) => speeds.GetValueOrDefault(process, 1);

    /// <summary>Forgets everything: with every change of membership, since a newcomer has seen nothing and all must come to the same speeds.</summary>
    public void Clear()
    {
        recent.Clear();
        speeds.Clear();
    }

    /// <summary>Takes one step's measurements: of every process its seconds a row (0 where it computed none).</summary>
    public void Add(IReadOnlyList<(long Process, double SecondsPerRow)> step)
    {
        foreach (var (process, seconds) in step)
        {
            if (!recent.TryGetValue(process, out var queue)) recent.Add(process, queue = new());
            if (!(seconds > 0)) continue;
            queue.Enqueue(seconds);
            if (queue.Count > Window) queue.Dequeue();
        }
        if (recent.Count < 2 || recent.Values.Any(queue => queue.Count < Window)) return;
        var paces = recent.ToDictionary(pair => pair.Key, pair => 1 / Quantile.Median(pair.Value));
        var mean = paces.Values.Average();
        // The step lasts until the last is done: present shares go by the present speeds, better ones by the measured.
        var present = paces.Max(pair => Of(pair.Key) / pair.Value) / recent.Keys.Sum(Of);
        var better = 1 / paces.Values.Sum();
        if (present / better < WorthIt) return;
        foreach (var (process, pace) in paces) speeds[process] = Math.Round(pace / mean, 2);
        foreach (var queue in recent.Values) queue.Clear();
    }
}
