namespace Perennial.Evaluation.Charts;

/// <summary>Maps values to a stretch of the drawing and finds round numbers for its ticks.</summary>
internal sealed class ChartScale
{
    private readonly double low, high, from, to;
    private readonly bool logarithmic;

    private ChartScale(double low, double high, double from, double to, bool logarithmic, IReadOnlyList<double> ticks)
    {
        (this.low, this.high, this.from, this.to, this.logarithmic, Ticks) = (low, high, from, to, logarithmic, ticks);
    }

    public IReadOnlyList<double> Ticks { get; }

    public double Low => low;

    public double High => high;

    /// <summary>A linear scale whose ends are as given, with about <paramref name="count"/> round ticks.</summary>
    public static ChartScale Linear(double low, double high, double from, double to, int count, bool roundEnds)
    {
        if (!(high > low)) (low, high) = (low - Math.Max(0.5, Math.Abs(low) * 0.1), low + Math.Max(0.5, Math.Abs(low) * 0.1));
        var step = RoundStep((high - low) / count);
        if (roundEnds) (low, high) = (Math.Floor(low / step + 1e-9) * step, Math.Ceiling(high / step - 1e-9) * step);
        var ticks = new List<double>();
        for (var i = (long)Math.Ceiling(low / step - 1e-9); i * step <= high + step * 1e-9; i++) ticks.Add(Tidy(i, step));
        return new ChartScale(low, high, from, to, logarithmic: false, ticks);
    }

    /// <summary>A logarithmic scale with ticks at 1, 2, 5 times powers of ten, or powers alone when there are many.</summary>
    public static ChartScale Logarithmic(double low, double high, double from, double to)
    {
        if (!(high > low)) (low, high) = (low / 2, low * 2);
        double[] heads = high / low > 100 ? [1] : [1, 2, 5];
        var ticks = new List<double>();
        for (var power = (int)Math.Floor(Math.Log10(low)); power <= Math.Ceiling(Math.Log10(high)); power++)
            foreach (var head in heads)
                ticks.Add(head * Math.Pow(10, power));
        low = ticks.LastOrDefault(tick => tick <= low, low);
        high = ticks.FirstOrDefault(tick => tick >= high, high);
        return new ChartScale(low, high, from, to, logarithmic: true, [.. ticks.Where(tick => tick >= low && tick <= high)]);
    }

    public double At(double value)
    {
        var share = logarithmic ? Math.Log(value / low) / Math.Log(high / low) : (value - low) / (high - low);
        return from + share * (to - from);
    }

    // i · step without the dust of binary fractions: 3 · 0.1 is 0.3.
    private static double Tidy(long i, double step) => step >= 1 ? i * step : i / Math.Round(1 / step, 9);

    private static double RoundStep(double rough)
    {
        var power = Math.Pow(10, Math.Floor(Math.Log10(rough)));
        return (rough / power) switch { <= 1 => 1, <= 2 => 2, <= 2.5 when power >= 10 => 2.5, <= 5 => 5, _ => 10 } * power;
    }
}
