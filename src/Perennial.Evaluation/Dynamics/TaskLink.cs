namespace Perennial.Evaluation.Dynamics;

/// <summary>A task's score as a function of the loss: u = low + (high − low) / (1 + e^{s(L − L₀)}).</summary>
/// <param name="Low">Score where the loss is high.</param>
/// <param name="High">Score where it is low.</param>
/// <param name="Slope">s, above 0.</param>
/// <param name="Middle">L₀.</param>
public sealed record TaskLink(double Low, double High, double Slope, double Middle)
{
    private static readonly double[] Slopes = [.. Enumerable.Range(0, 25).Select(i => 0.25 * Math.Pow(1.22, i))];

    /// <summary>The score at a loss.</summary>
    public double At(double loss) => Low + (High - Low) / (1 + Math.Exp(Slope * (loss - Middle)));

    /// <summary>Least squares over a grid of slopes and middles; low and high are solved exactly.</summary>
    /// <param name="points">(loss, score), at least four.</param>
    public static TaskLink Fit(IReadOnlyList<(double Loss, double Score)> points)
    {
        ArgumentNullException.ThrowIfNull(points);
        if (points.Count < 4) throw new ArgumentException("at least four points are needed", nameof(points));
        var (least, most) = (points.Min(point => point.Loss), points.Max(point => point.Loss));
        var mean = points.Average(point => point.Score);
        var best = (Error: points.Sum(point => Math.Pow(point.Score - mean, 2)), Link: new TaskLink(mean, mean, 1, least));
        foreach (var slope in Slopes)
            for (var i = -10; i <= 30; i++)
            {
                var middle = least + (most - least) * i / 20.0;
                var x = points.Select(point => 1 / (1 + Math.Exp(slope * (point.Loss - middle)))).ToList();
                var (mx, variance) = (x.Average(), 0.0);
                var covariance = 0.0;
                for (var k = 0; k < x.Count; k++)
                {
                    variance += (x[k] - mx) * (x[k] - mx);
                    covariance += (x[k] - mx) * (points[k].Score - mean);
                }
                if (variance < 1e-12) continue;
                var rise = covariance / variance;
                var low = mean - rise * mx;
                var error = points.Select((point, k) => Math.Pow(low + rise * x[k] - point.Score, 2)).Sum();
                if (error < best.Error - 1e-15) best = (error, new TaskLink(low, low + rise, slope, middle));
            }
        return best.Link;
    }
}
