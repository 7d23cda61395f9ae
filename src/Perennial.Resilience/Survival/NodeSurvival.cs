namespace Perennial.Resilience.Survival;

/// <summary>How long a node lives.</summary>
public abstract record NodeSurvival
{
    /// <summary>Constant failure rate: R(t) = e^(−λt).</summary>
    /// <param name="failuresPerHour">λ.</param>
    public static NodeSurvival Exponential(double failuresPerHour) => new WeibullSurvival(failuresPerHour, 1);

    /// <summary>R(t) = e^(−(λt)^c): c above 1 wears out, below 1 dies young.</summary>
    /// <param name="failuresPerHour">λ, the scale.</param>
    /// <param name="shape">c.</param>
    public static NodeSurvival Weibull(double failuresPerHour, double shape) => new WeibullSurvival(failuresPerHour, shape);

    /// <summary>R(t): the probability that a node lives for so many hours.</summary>
    public double Alive(double hours) => Math.Exp(-Hazard(hours));

    /// <summary>1 − R(t), exact where it is small.</summary>
    public double Dead(double hours) => -Expm1(-Hazard(hours));

    /// <summary>The cumulative hazard −ln R(t).</summary>
    protected abstract double Hazard(double hours);

    /// <summary>eˣ − 1 without cancellation near 0 (Kahan's form).</summary>
    internal static double Expm1(double x)
    {
        var e = Math.Exp(x);
        if (e == 1) return x;
        return e - 1 == -1 ? -1 : (e - 1) * x / Math.Log(e);
    }

    /// <summary>ln(1 + x) without cancellation near 0 (Kahan's form).</summary>
    internal static double Log1p(double x)
    {
        var one = 1 + x;
        return one == 1 ? x : Math.Log(one) * x / (one - 1);
    }

    private sealed record WeibullSurvival : NodeSurvival
    {
        private readonly double rate, shape;

        public WeibullSurvival(double rate, double shape)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(rate);
            ArgumentOutOfRangeException.ThrowIfNegativeOrZero(shape);
            (this.rate, this.shape) = (rate, shape);
        }

        protected override double Hazard(double hours) => Math.Pow(rate * hours, shape);
    }
}
