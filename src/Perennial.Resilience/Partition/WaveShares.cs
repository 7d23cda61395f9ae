namespace Perennial.Resilience.Partition;

/// <summary>Samples sent from one rank to another at a stage boundary: one message, contiguous in the wave.</summary>
/// <param name="From">Index of the sender among the live ranks of its stage.</param>
/// <param name="To">Index of the receiver among the live ranks of its stage.</param>
/// <param name="First">First sample of the wave.</param>
/// <param name="Count">How many.</param>
public sealed record SampleTransfer(int From, int To, int First, int Count);

/// <summary>
/// How the samples of one wave (the micro-batches that the paths of a stage run in one slot) are split over the stage's live ranks (paper 23 §1).
/// Rank i takes a contiguous run, in rank order.
/// </summary>
/// <param name="Counts">b_i: samples of every live rank; they sum to D·b.</param>
public sealed record WaveShares(IReadOnlyList<int> Counts)
{
    /// <summary>Samples of the whole wave.</summary>
    public int Samples => Counts.Sum();

    /// <summary>
    /// The split that is done soonest: least max b_i/v_i. With equal speeds every b_i is ⌊D·b/D_p⌋ or ⌈D·b/D_p⌉.
    /// </summary>
    /// <param name="samples">D·b.</param>
    /// <param name="speeds">v_i of the live ranks, above 0.</param>
    /// <exception cref="ArgumentException">No rank lives, or a speed is not above 0.</exception>
    public static WaveShares Split(int samples, IReadOnlyList<double> speeds)
    {
        ArgumentNullException.ThrowIfNull(speeds);
        ArgumentOutOfRangeException.ThrowIfNegative(samples);
        if (speeds.Count == 0 || speeds.Any(speed => !(speed > 0))) throw new ArgumentException("a stage needs at least one live rank, all of a speed above 0");
        // The ideal shares rounded down never exceed the best bottleneck; the few that remain go, one by one, where they end soonest.
        var total = speeds.Sum();
        var counts = speeds.Select(speed => (int)Math.Floor(samples * speed / total * (1 - 1e-12))).ToArray();
        var queue = new PriorityQueue<int, (double End, int Rank)>();
        for (var rank = 0; rank < counts.Length; rank++) queue.Enqueue(rank, ((counts[rank] + 1) / speeds[rank], rank));
        for (var left = samples - counts.Sum(); left > 0; left--)
        {
            var rank = queue.Dequeue();
            counts[rank]++;
            queue.Enqueue(rank, ((counts[rank] + 1) / speeds[rank], rank));
        }
        return new(counts);
    }

    /// <summary>max b_i/v_i: how many nominal samples long the stage's slot is.</summary>
    public double Length(IReadOnlyList<double> speeds) => Counts.Zip(speeds, (count, speed) => count / speed).Max();

    /// <summary>The least max b_i/v_i over ranks of a few speeds, which <see cref="Split"/> reaches, without a look at every rank.</summary>
    /// <param name="samples">D·b.</param>
    /// <param name="classes">Ranks by speed, at least one.</param>
    /// <exception cref="ArgumentException">No rank lives, or a speed is not above 0.</exception>
    public static double Length(int samples, IReadOnlyList<SpeedClass> classes)
    {
        ArgumentNullException.ThrowIfNull(classes);
        ArgumentOutOfRangeException.ThrowIfNegative(samples);
        if (classes.Count == 0 || classes.Any(kind => kind.Count < 1 || !(kind.Speed > 0))) throw new ArgumentException("a stage needs at least one live rank, all of a speed above 0");
        // The slot ends with a sample of some class: the first end of each by which the whole wave is done, and the soonest of those.
        return classes.Min(kind =>
        {
            var (low, high) = (0, samples);
            while (low < high)
            {
                var middle = (low + high) / 2;
                if (classes.Sum(each => (long)each.Count * Within(middle / kind.Speed, each.Speed)) >= samples) high = middle;
                else low = middle + 1;
            }
            return low / kind.Speed;
        });
    }

    /// <summary>Samples that a rank ends within a slot.</summary>
    internal static int Within(double length, double speed) => (int)Math.Floor(length * speed * (1 + 1e-12));

    /// <summary>
    /// The messages from the owners of a wave on one stage to those on the next: the overlaps of the two splits, at most D + D' − 1. Backward runs
    /// them in reverse. Two damaged neighbours are mapped directly.
    /// </summary>
    /// <exception cref="ArgumentException">The two splits are not of the same wave.</exception>
    public static IReadOnlyList<SampleTransfer> Map(WaveShares from, WaveShares to)
    {
        ArgumentNullException.ThrowIfNull(from);
        ArgumentNullException.ThrowIfNull(to);
        if (from.Samples != to.Samples) throw new ArgumentException($"a wave of {from.Samples} samples cannot go on as {to.Samples}");
        var transfers = new List<SampleTransfer>();
        var (sender, receiver, senderEnd, receiverEnd, at) = (0, 0, from.Counts[0], to.Counts[0], 0);
        while (at < from.Samples)
        {
            while (senderEnd <= at) senderEnd += from.Counts[++sender];
            while (receiverEnd <= at) receiverEnd += to.Counts[++receiver];
            var end = Math.Min(senderEnd, receiverEnd);
            transfers.Add(new(sender, receiver, at, end - at));
            at = end;
        }
        return transfers;
    }
}
