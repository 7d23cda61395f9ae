namespace Perennial.Evaluation.Dynamics;

/// <summary>What was measured at one checkpoint.</summary>
/// <param name="Step">Its step.</param>
/// <param name="Tokens">Tokens seen.</param>
/// <param name="Metrics">Name → value; <c>loss</c> is among them.</param>
public sealed record CurveMoment(long Step, long Tokens, IReadOnlyDictionary<string, double> Metrics);

/// <summary>What a run's checkpoints say over its training.</summary>
/// <param name="Run">The run's folder.</param>
/// <param name="Parameters">Parameters of its model.</param>
/// <param name="Moments">Its checkpoints, by step.</param>
public sealed record TrainingCurve(string Run, long Parameters, IReadOnlyList<CurveMoment> Moments)
{
    /// <summary>Names of what was measured at every checkpoint.</summary>
    public IReadOnlyList<string> Metrics => Moments.Count == 0 ? [] : [.. Moments[0].Metrics.Keys.Where(name => Moments.All(moment => moment.Metrics.ContainsKey(name))).Order(StringComparer.Ordinal)];

    /// <summary>The values of a metric at given tokens, linear in log tokens between checkpoints; NaN outside.</summary>
    public IReadOnlyList<double> At(string metric, IReadOnlyList<long> tokens)
    {
        ArgumentNullException.ThrowIfNull(tokens);
        return [.. tokens.Select(wanted =>
        {
            var after = Moments.ToList().FindIndex(moment => moment.Tokens >= wanted);
            if (after < 0) return double.NaN;
            var high = Moments[after];
            if (high.Tokens == wanted || high.Tokens == 0) return high.Metrics[metric];
            if (after == 0) return double.NaN;
            var low = Moments[after - 1];
            var part = (Math.Log(wanted) - Math.Log(Math.Max(1, low.Tokens))) / (Math.Log(high.Tokens) - Math.Log(Math.Max(1, low.Tokens)));
            return low.Metrics[metric] + part * (high.Metrics[metric] - low.Metrics[metric]);
        })];
    }
}
