using Perennial.Resilience.Simulation;

namespace Perennial.Resilience.Restart;

/// <summary>How the draws of a duration are spread; only the variance and simulated draws depend on it, never an expected makespan.</summary>
public enum DurationLaw
{
    /// <summary>Always the mean.</summary>
    Fixed,

    /// <summary>Exponential.</summary>
    Exponential,

    /// <summary>Gamma of shape 4: half the spread of the exponential.</summary>
    Gamma,

    /// <summary>Log-normal with σ = 0.5 of the logarithm: a longer tail than the gamma of the same spread.</summary>
    LogNormal,
}

/// <summary>A random duration: mean, and the law around it. Any unit, as long as it is one unit throughout.</summary>
/// <param name="Mean">Mean, 0 or more.</param>
/// <param name="Law">Spread.</param>
public readonly record struct Duration(double Mean, DurationLaw Law = DurationLaw.Fixed)
{
    private const double GammaShape = 4, LogSigma = 0.5;

    /// <summary>The variance, in the unit squared.</summary>
    public double Variance => Mean * Mean * Law switch
    {
        DurationLaw.Exponential => 1,
        DurationLaw.Gamma => 1 / GammaShape,
        DurationLaw.LogNormal => Math.Exp(LogSigma * LogSigma) - 1,
        _ => 0,
    };

    /// <summary>One draw.</summary>
    public double Draw(RandomStream random)
    {
        ArgumentNullException.ThrowIfNull(random);
        return Mean * Law switch
        {
            DurationLaw.Exponential => random.Exponential(),
            DurationLaw.Gamma => random.Gamma(GammaShape) / GammaShape,
            DurationLaw.LogNormal => random.LogNormal(LogSigma),
            _ => 1,
        };
    }

    /// <summary>A duration that is always the same.</summary>
    public static implicit operator Duration(double mean) => new(mean);
}
