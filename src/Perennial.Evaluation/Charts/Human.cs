using System.Globalization;

namespace Perennial.Evaluation.Charts;

/// <summary>Numbers as people read them; always with a point and without the machine's culture.</summary>
public static class Human
{
    private const string Missing = "–";

    /// <summary>Three to four significant digits, with k, M, G, T above 10,000.</summary>
    public static string Number(double value)
    {
        if (!double.IsFinite(value)) return Missing;
        var size = Math.Abs(value);
        return size switch
        {
            0 => "0",
            >= 1e12 => Digits(value / 1e12) + "T",
            >= 1e9 => Digits(value / 1e9) + "G",
            >= 1e6 => Digits(value / 1e6) + "M",
            >= 1e4 => Digits(value / 1e3) + "k",
            < 1e-3 => value.ToString("0.##e-0", CultureInfo.InvariantCulture),
            _ => Digits(value),
        };
    }

    /// <summary>A number with a unit that takes the prefix: 130 GFLOP/s.</summary>
    public static string Unit(double value, string unit)
    {
        var number = Number(value);
        return number.Length > 0 && char.IsAsciiLetter(number[^1]) ? $"{number[..^1]} {number[^1]}{unit}" : $"{number} {unit}";
    }

    /// <summary>A whole number with thin groups: 12,345.</summary>
    public static string Whole(double value) => double.IsFinite(value) ? value.ToString("#,0", CultureInfo.InvariantCulture) : Missing;

    /// <summary>A fixed number of decimals.</summary>
    public static string Fixed(double value, int decimals) =>
        double.IsFinite(value) ? value.ToString("F" + decimals.ToString(CultureInfo.InvariantCulture), CultureInfo.InvariantCulture) : Missing;

    /// <summary>A share of one as a percentage with one decimal.</summary>
    public static string Percent(double share) => double.IsFinite(share) ? (share * 100).ToString("0.#", CultureInfo.InvariantCulture) + " %" : Missing;

    /// <summary>Bytes in binary units.</summary>
    public static string Bytes(double bytes)
    {
        if (!double.IsFinite(bytes)) return Missing;
        string[] units = ["B", "KiB", "MiB", "GiB", "TiB"];
        var unit = 0;
        for (; Math.Abs(bytes) >= 1024 && unit < units.Length - 1; unit++) bytes /= 1024;
        return $"{bytes.ToString(unit == 0 ? "0" : "0.#", CultureInfo.InvariantCulture)} {units[unit]}";
    }

    /// <summary>A stretch of time: 850 ms, 12.3 s, 4 min 05 s, 2 h 10 min, 3 d 04 h.</summary>
    public static string Duration(double seconds) => seconds switch
    {
        double.NaN or double.PositiveInfinity or double.NegativeInfinity => Missing,
        0 => "0 s",
        < 1 => $"{(seconds * 1000).ToString("0", CultureInfo.InvariantCulture)} ms",
        < 60 => $"{seconds.ToString("0.#", CultureInfo.InvariantCulture)} s",
        < 3600 => $"{(int)(seconds / 60)} min {(int)(seconds % 60):00} s",
        < 86400 => $"{(int)(seconds / 3600)} h {(int)(seconds % 3600 / 60):00} min",
        _ => $"{(int)(seconds / 86400)} d {(int)(seconds % 86400 / 3600):00} h",
    };

    private static string Digits(double value) => Math.Abs(value) switch
    {
        >= 1000 => value.ToString("#,0", CultureInfo.InvariantCulture),
        >= 100 => value.ToString("0.#", CultureInfo.InvariantCulture),
        >= 10 => value.ToString("0.##", CultureInfo.InvariantCulture),
        >= 0.1 => value.ToString("0.###", CultureInfo.InvariantCulture),
        >= 0.01 => value.ToString("0.####", CultureInfo.InvariantCulture),
        _ => value.ToString("0.#####", CultureInfo.InvariantCulture),
    };
}
