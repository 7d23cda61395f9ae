namespace Perennial.Optimization;

/// <summary>How a rate falls from one level to a lower one as progress goes from 0 to 1.</summary>
public enum AnnealShape
{
    /// <summary>a·(b/a)^p: equal ratios in equal times. Needs a floor above 0 (Singh, Janson et al. 2025, phase 4).</summary>
    Exponential,

    /// <summary>A straight line.</summary>
    Linear,

    /// <summary>Along 1 − √p.</summary>
    OneMinusSqrt,

    /// <summary>Along half a cosine.</summary>
    Cosine,

    /// <summary>Along (1/√(1 + 15p) − 1/4) · 4/3: the inverse square root over sixteen times its first length, scaled to end at the lower level.</summary>
    InverseSqrt,
}

/// <summary>The shapes' values.</summary>
public static class AnnealShapes
{
    /// <summary>The level at a progress of 0 to 1, from <paramref name="high"/> to <paramref name="low"/>.</summary>
    public static double Between(this AnnealShape shape, double high, double low, double progress) => shape switch
    {
        AnnealShape.Exponential => high * Math.Pow(low / high, progress),
        AnnealShape.Linear => high + (low - high) * progress,
        AnnealShape.OneMinusSqrt => low + (high - low) * (1 - Math.Sqrt(progress)),
        AnnealShape.InverseSqrt => low + (high - low) * (1 / Math.Sqrt(1 + 15 * progress) - 0.25) * 4 / 3,
        _ => low + (high - low) * (1 + Math.Cos(Math.PI * progress)) / 2,
    };
}
