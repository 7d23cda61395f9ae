namespace Perennial.Optimization;

/// <summary>How a rate falls from 1 to 0 as progress goes from 0 to 1.</summary>
public enum DecayShape
{
    /// <summary>1 − p.</summary>
    Linear,

    /// <summary>1 − √p (Hägele et al. 2024).</summary>
    OneMinusSqrt,

    /// <summary>(1 + cos πp) / 2.</summary>
    Cosine,
}

/// <summary>The shapes' values.</summary>
public static class DecayShapes
{
    /// <summary>The shape at a progress of 0 to 1.</summary>
    public static double At(this DecayShape shape, double progress) => shape switch
    {
        DecayShape.Linear => 1 - progress,
        DecayShape.OneMinusSqrt => 1 - Math.Sqrt(progress),
        _ => (1 + Math.Cos(Math.PI * progress)) / 2,
    };
}
