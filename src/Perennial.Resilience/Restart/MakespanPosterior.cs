using Perennial.Resilience.Simulation;

namespace Perennial.Resilience.Restart;

/// <summary>What recorded attempts say about a detector, with its uncertainty.</summary>
/// <param name="Confidence">P(E_mon &lt; E_0): share of the draws in which aborting pays.</param>
/// <param name="Without">Mean of E_0 over the draws, seconds.</param>
/// <param name="With">Mean of E_mon over the draws, seconds; draws are capped at 1,000 E_0.</param>
/// <param name="Model">The attempts at their posterior means.</param>
/// <param name="Detector">The detector at its posterior means.</param>
/// <param name="Successes">Attempts known to have succeeded.</param>
/// <param name="Failures">Attempts known to have failed.</param>
public sealed record PosteriorVerdict(double Confidence, double Without, double With, MakespanModel Model, Detector Detector, int Successes, int Failures);

/// <summary>
/// The posterior of E_0 and E_mon from recorded attempts (paper 19 §4). Aborted attempts have no outcome, so the paper weighs the shadow attempts
/// by 1/ε. The same estimate, without inflating the counts: an alarm is raised with probability a (all attempts tell), and succeeds with g_1
/// (labelled alarms tell, a random sample of the alarms) or g_0 without alarm. Each is Beta; then p = (1−a)·g_0 + a·g_1, q = a·g_1/p and
/// r = a·(1−g_1)/(1−p). Mean times are drawn by the Bayesian bootstrap, a labelled alarm standing for as many as were raised.
/// </summary>
public static class MakespanPosterior
{
    /// <summary>Judges whether aborting pays.</summary>
    /// <param name="attempts">Finished attempts.</param>
    /// <param name="draws">Draws from the posterior.</param>
    /// <param name="seed">Seed of the draws.</param>
    /// <returns>Null while no success, no failure or no alarm with known outcome was seen: nothing can be said then.</returns>
    public static PosteriorVerdict? Judge(IReadOnlyList<AttemptRecord> attempts, int draws, ulong seed)
    {
        ArgumentNullException.ThrowIfNull(attempts);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(draws);
        var labelled = attempts.Where(attempt => attempt.Succeeded is not null).ToList();
        var (silent, alarms) = (labelled.Where(attempt => !attempt.Alarmed).ToList(), labelled.Where(attempt => attempt.Alarmed).ToList());
        var raised = attempts.Count(attempt => attempt.Alarmed);
        var (successes, failures) = (labelled.Count(attempt => attempt.Succeeded!.Value), labelled.Count(attempt => !attempt.Succeeded!.Value));
        if (successes == 0 || failures == 0 || alarms.Count == 0) return null;

        var weight = (double)raised / alarms.Count;
        var good = new Sample(labelled.Where(attempt => attempt.Succeeded!.Value).Select(attempt => (attempt.Seconds, attempt.Alarmed ? weight : 1)));
        var bad = new Sample(labelled.Where(attempt => !attempt.Succeeded!.Value).Select(attempt => (attempt.Seconds, attempt.Alarmed ? weight : 1)));
        var times = new Sample(attempts.Where(attempt => attempt.Alarmed).Select(attempt => (attempt.AlarmSeconds!.Value, 1.0)));
        var overheads = new Sample(attempts.Select(attempt => (attempt.OverheadSeconds, 1.0)));
        var silentGood = silent.Count(attempt => attempt.Succeeded!.Value);
        var alarmGood = alarms.Count(attempt => attempt.Succeeded!.Value);

        var random = new RandomStream(seed, (ulong)attempts.Count);
        var (pays, without, with) = (0, 0.0, 0.0);
        for (var i = 0; i < draws; i++)
        {
            var (model, detector) = Combine(
                random.Beta(raised + 1, attempts.Count - raised + 1),
                random.Beta(silentGood + 1, silent.Count - silentGood + 1),
                random.Beta(alarmGood + 1, alarms.Count - alarmGood + 1),
                good.Draw(random), bad.Draw(random), times.Draw(random), overheads.Draw(random));
            if (model.Pays(detector)) pays++;
            without += model.WithoutDetector / draws;
            with += Math.Min(model.WithDetector(detector), 1_000 * model.WithoutDetector) / draws;
        }
        var (meanModel, meanDetector) = Combine(
            (raised + 1.0) / (attempts.Count + 2), (silentGood + 1.0) / (silent.Count + 2), (alarmGood + 1.0) / (alarms.Count + 2),
            good.Mean, bad.Mean, times.Mean, overheads.Mean);
        return new((double)pays / draws, without, with, meanModel, meanDetector, successes, failures);
    }

    private static (MakespanModel Model, Detector Detector) Combine(double alarm, double silentSuccess, double alarmSuccess, double s, double f, double t, double c)
    {
        var p = (1 - alarm) * silentSuccess + alarm * alarmSuccess;
        // One mean time serves both cases: p·q·t_s + (1−p)·r·t_f is a·E[t | alarm], whatever the split.
        return (new(p, s, f, c), new Detector(alarm * (1 - alarmSuccess) / (1 - p), alarm * alarmSuccess / p, t));
    }

    // Beyond this many items the bootstrap's mean is normal enough, and costs one draw instead of one an item.
    private const int SmallSample = 40;

    private sealed class Sample
    {
        private readonly (double Value, double Weight)[] items;
        private readonly double error;

        public Sample(IEnumerable<(double Value, double Weight)> values)
        {
            items = [.. values];
            var total = items.Sum(item => item.Weight);
            Mean = items.Sum(item => item.Value * item.Weight) / total;
            var variance = items.Sum(item => item.Weight * (item.Value - Mean) * (item.Value - Mean)) / total;
            error = Math.Sqrt(variance * items.Sum(item => item.Weight * item.Weight) / (total * total));
        }

        public double Mean { get; }

        public double Draw(RandomStream random)
        {
            if (items.Length > SmallSample) return Math.Max(0, Mean + error * random.Normal());
            var (sum, total) = (0.0, 0.0);
            foreach (var (value, weight) in items)
            {
                var mass = weight * random.Exponential();
                sum += mass * value;
                total += mass;
            }
            return sum / total;
        }
    }
}
