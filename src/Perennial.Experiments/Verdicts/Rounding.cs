using System.Globalization;

namespace Perennial.Experiments.Verdicts;

/// <summary>How measured values are rounded before anything is computed from them.</summary>
public enum Rounding
{
    /// <summary>Losses and their like: four decimals.</summary>
    FourDecimals,

    /// <summary>Measures of an experiment, whose units differ: six significant digits.</summary>
    SixDigits,
}

/// <summary>Rounding at work.</summary>
public static class RoundingRule
{
    /// <summary>The value as it is printed and judged.</summary>
    public static double Round(this Rounding rounding, double value) => rounding == Rounding.FourDecimals
        ? Math.Round(value, 4, MidpointRounding.AwayFromZero)
        : double.Parse(value.ToString("G6", CultureInfo.InvariantCulture), CultureInfo.InvariantCulture);

    /// <summary>A sum of a few rounded values without the dust of binary fractions.</summary>
    public static double Dust(this Rounding rounding, double value) => rounding == Rounding.FourDecimals
        ? Math.Round(value, 10)
        : double.Parse(value.ToString("G12", CultureInfo.InvariantCulture), CultureInfo.InvariantCulture);

    /// <summary>In words: <c>four decimals</c>.</summary>
    public static string Words(this Rounding rounding) => rounding == Rounding.FourDecimals ? "four decimals" : "six significant digits";
}
