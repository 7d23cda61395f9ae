namespace Perennial.Resilience.Membership;

/// <summary>
/// How long a lease this process needs: the usual one, or four times the pause that it was held up for at least twice lately. On a machine with more
/// to do than it can, every process pauses now and then for longer than a lease, and a run whose members take each other for dead gets nowhere; a single
/// hang says nothing about the next.
/// </summary>
/// <param name="least">The usual lease.</param>
internal sealed class LeaseLength(TimeSpan least)
{
    private const int Most = 10;
    private static readonly TimeSpan Memory = TimeSpan.FromSeconds(20);
    private readonly List<(TimeSpan At, TimeSpan Pause)> pauses = [];
    private TimeSpan held;

    /// <summary>The lease to take now.</summary>
    public TimeSpan Value => 4 * held < least ? least : 4 * held < Most * least ? 4 * held : Most * least;

    /// <summary>Takes the time between two signs of life.</summary>
    /// <param name="at">Now.</param>
    /// <param name="pause">Since the one before.</param>
    public void Add(TimeSpan at, TimeSpan pause)
    {
        pauses.RemoveAll(one => at - one.At > Memory);
        if (4 * pause > least) pauses.Add((at, pause));
        held = pauses.Count < 2 ? TimeSpan.Zero : pauses.Select(one => one.Pause).OrderDescending().ElementAt(1);
    }
}
