namespace Perennial.Resilience.Snapshots;

/// <summary>Which shares of a step a rank's parity slot has had. A share added twice would cancel itself, so each is claimed once.</summary>
/// <param name="step">The step.</param>
/// <param name="parities">m.</param>
/// <param name="chunks">k.</param>
/// <param name="pieces">Pieces of a chunk.</param>
internal sealed class ParityAccumulator(long step, int parities, int chunks, int pieces)
{
    private readonly bool[] applied = new bool[parities * chunks * pieces];
    private int left = parities * chunks * pieces;

    public long Step { get; } = step;

    public bool IsComplete => left == 0;

    /// <summary>True the first time.</summary>
    public bool Claim(int parity, int chunk, int piece)
    {
        ref var cell = ref applied[(parity * chunks + chunk) * pieces + piece];
        if (cell) return false;
        cell = true;
        left--;
        return true;
    }
}
