namespace Perennial.Resilience.Survival;

/// <summary>How often to save (paper 02 §7; Young 1974, Daly 2006). Times in seconds.</summary>
public static class Intervals
{
    /// <summary>The optimum T* = √(2·O·M) between savings that cost O each, with a mean time M between the faults they are for.</summary>
    public static double Optimal(double overhead, double meanTimeBetweenFaults) => Math.Sqrt(2 * overhead * meanTimeBetweenFaults);

    /// <summary>Share of time lost: W(T) = O/T + T/(2M) + R/M.</summary>
    /// <param name="interval">T.</param>
    /// <param name="overhead">O, a saving's stall.</param>
    /// <param name="meanTimeBetweenFaults">M.</param>
    /// <param name="restart">R, from the fault to the first step.</param>
    public static double Waste(double interval, double overhead, double meanTimeBetweenFaults, double restart) =>
        overhead / interval + interval / (2 * meanTimeBetweenFaults) + restart / meanTimeBetweenFaults;
}
