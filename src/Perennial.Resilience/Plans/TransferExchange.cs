using Perennial.Resilience.Groups;

namespace Perennial.Resilience.Plans;

/// <summary>Carries plans out between processes: rank r of the group is rank r of both layouts. Only what a rank lacks travels.</summary>
public static class TransferExchange
{
    private const int Staging = 1 << 22;

    /// <summary>Fills this rank's target; every rank of the group calls it with the same plan. Padding is left as it is.</summary>
    /// <param name="plan">The plan, whole; without means (values that replicas may differ in have to be averaged by a reduction).</param>
    /// <param name="group">The ranks; every source and target is one of them.</param>
    /// <param name="source">This rank's buffer under the old layout; empty where it has none.</param>
    /// <param name="target">Its buffer under the new one; empty where it has none. May be the source where the plan keeps everything in place.</param>
    /// <param name="written">Told of every write here: the ledger of the transition gate.</param>
    /// <returns>Bytes that this rank received from others.</returns>
    /// <exception cref="ArgumentException">The plan has means, or the group is smaller than a layout.</exception>
    /// <exception cref="CommunicatorException">The group broke.</exception>
    public static long Run(TransferPlan plan, ICommunicator group, FlatBytes source, FlatBytes target, Action<TransferCopy>? written = null)
    {
        ArgumentNullException.ThrowIfNull(plan);
        ArgumentNullException.ThrowIfNull(group);
        if (plan.Means.Count > 0) throw new ArgumentException("a plan with means cannot be carried out by copies", nameof(plan));
        if (group.Size < plan.To.Ranks.Count || plan.Copies.Any(copy => copy.Source >= group.Size)) throw new ArgumentException($"{group.Size} ranks cannot carry out a plan of {plan.From.Ranks.Count} to {plan.To.Ranks.Count}", nameof(plan));
        foreach (var copy in plan.Copies.Where(copy => copy.Local && copy.Target == group.Rank))
        {
            TransferRun.Copy(copy, source, target);
            written?.Invoke(copy);
        }
        var received = 0L;
        var staging = new byte[Staging];
        // All ranks go through their pairs in one order, so that whoever waits waits for a pair that is ahead: nobody waits in a circle.
        foreach (var pair in plan.Copies.Where(copy => !copy.Local).GroupBy(copy => (copy.Source, copy.Target)).OrderBy(pair => pair.Key))
        {
            if (pair.Key.Source == group.Rank) Send(pair, group, pair.Key.Target, source, staging);
            if (pair.Key.Target != group.Rank) continue;
            received += Receive(pair, group, pair.Key.Source, target, staging);
            foreach (var copy in pair) written?.Invoke(copy);
        }
        return received;
    }

    private static void Send(IEnumerable<TransferCopy> copies, ICommunicator group, int to, FlatBytes source, byte[] staging)
    {
        foreach (var load in Loads(copies))
        {
            foreach (var (piece, at) in load) source.Slice(piece.SourceOffset, (int)piece.Length).CopyTo(staging.AsSpan(at));
            group.Send<byte>(staging.AsSpan(0, Length(load)), to);
        }
    }

    private static long Receive(IEnumerable<TransferCopy> copies, ICommunicator group, int from, FlatBytes target, byte[] staging)
    {
        var received = 0L;
        foreach (var load in Loads(copies))
        {
            group.Receive(staging.AsSpan(0, Length(load)), from);
            foreach (var (piece, at) in load) staging.AsSpan(at, (int)piece.Length).CopyTo(target.Slice(piece.TargetOffset, (int)piece.Length));
            received += Length(load);
        }
        return received;
    }

    private static int Length(List<(TransferCopy Piece, int At)> load) => load[^1].At + (int)load[^1].Piece.Length;

    /// <summary>The copies cut into messages that fit the staging buffer, each piece with its place in the message.</summary>
    private static IEnumerable<List<(TransferCopy Piece, int At)>> Loads(IEnumerable<TransferCopy> copies)
    {
        var load = new List<(TransferCopy, int)>();
        var filled = 0;
        foreach (var block in copies.SelectMany(copy => copy.Blocks()))
            for (long done = 0; done < block.Length;)
            {
                var take = Math.Min(block.Length - done, Staging - filled);
                load.Add((block with { SourceOffset = block.SourceOffset + done, TargetOffset = block.TargetOffset + done, Length = take }, filled));
                filled += (int)take;
                done += take;
                if (filled < Staging) continue;
                yield return load;
                (load, filled) = ([], 0);
            }
        if (filled > 0) yield return load;
    }
}
