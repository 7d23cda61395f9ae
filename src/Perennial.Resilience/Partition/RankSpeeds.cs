namespace Perennial.Resilience.Partition;

/// <summary>
/// Speed factors of processes from what each took for the same piece of work, 1 for the middle one. They are coarse: shapes and cuts follow a machine that is
/// slower, not noise.
/// </summary>
public static class RankSpeeds
{
    // Up to a third of the middle one's speed is noise; beyond that speeds are told apart by a quarter.
    private const double Alike = 4.0 / 3, Grain = 1.25;

    /// <summary>The factors; null where all are alike, or fewer than two were measured.</summary>
    /// <param name="seconds">Of every process the seconds for the same work; 0 where it was not measured: it counts as the middle one.</param>
    public static IReadOnlyList<double>? Of(IReadOnlyList<double> seconds)
    {
        ArgumentNullException.ThrowIfNull(seconds);
        var known = seconds.Where(each => each > 0).Order().ToList();
        if (known.Count < 2) return null;
        // Of two the faster: a single slow one must not pass for the rule.
        var middle = known[(known.Count - 1) / 2];
        var speeds = seconds.Select(each => each > 0 ? Coarse(middle / each) : 1).ToArray();
        return speeds.All(speed => speed == 1) ? null : speeds;
    }

    private static double Coarse(double speed) =>
        speed < Alike && speed > 1 / Alike ? 1 : Math.Round(Math.Pow(Grain, Math.Round(Math.Log(speed, Grain))), 3);
}
