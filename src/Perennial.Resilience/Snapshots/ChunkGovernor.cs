namespace Perennial.Resilience.Snapshots;

/// <summary>Chooses the bucket size from what the copy costs (paper 02 §2): halved above the budget, doubled below half of it.</summary>
/// <param name="Budget">Slowdown of a step that is allowed, as a share: 0.02 is 2 %.</param>
/// <param name="Smallest">Least bytes.</param>
/// <param name="Largest">Most bytes.</param>
public sealed record ChunkGovernor(double Budget = 0.02, long Smallest = 256 << 10, long Largest = 16 << 20)
{
    /// <summary>The next size.</summary>
    /// <param name="current">The size in use, bytes.</param>
    /// <param name="stepSeconds">Seconds of a step with snapshots.</param>
    /// <param name="plainSeconds">Seconds of a step without.</param>
    public long Next(long current, double stepSeconds, double plainSeconds)
    {
        var slowdown = stepSeconds / plainSeconds - 1;
        var next = slowdown > Budget ? current / 2 : slowdown < Budget / 2 ? current * 2 : current;
        return Math.Clamp(next, Smallest, Largest);
    }
}
