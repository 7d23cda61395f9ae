namespace Perennial.Resilience.Partition;

/// <summary>
/// A stage's time as a function of its clock: T(f) = α·f_0/f + β (paper 23 §3). What remains uneven after whole layers were moved, a higher clock on
/// the slowest stage absorbs.
/// </summary>
/// <param name="ComputeSeconds">α: the share that the clock bounds, at f_0.</param>
/// <param name="OtherSeconds">β: memory and communication.</param>
/// <param name="Nominal">f_0, in any unit.</param>
public sealed record ClockedStage(double ComputeSeconds, double OtherSeconds, double Nominal)
{
    /// <summary>Seconds at a frequency above 0.</summary>
    public double Seconds(double frequency) => ComputeSeconds * Nominal / frequency + OtherSeconds;

    /// <summary>α and β from two measured frequencies.</summary>
    /// <exception cref="ArgumentException">The frequencies are the same.</exception>
    public static ClockedStage Fit(double nominal, (double Frequency, double Seconds) first, (double Frequency, double Seconds) second)
    {
        if (first.Frequency == second.Frequency) throw new ArgumentException("two different frequencies are needed");
        var compute = (first.Seconds - second.Seconds) / (nominal / first.Frequency - nominal / second.Frequency);
        return new(compute, first.Seconds - compute * nominal / first.Frequency, nominal);
    }

    /// <summary>The lowest frequency from f_0 on at which the stage is no slower than asked, or the highest allowed when even that is too slow.</summary>
    /// <param name="target">Seconds of the slowest other stage.</param>
    /// <param name="highest">f_max.</param>
    public double Raise(double target, double highest)
    {
        if (Seconds(Nominal) <= target) return Nominal;
        return target <= OtherSeconds ? highest : Math.Min(highest, ComputeSeconds * Nominal / (target - OtherSeconds));
    }
}
