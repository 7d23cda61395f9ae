using Perennial.Core;
using Perennial.Resilience.Layouts;

namespace Perennial.Resilience.Plans;

/// <summary>
/// The copies that turn buffers under one layout into buffers under another (paper 47, part 5). Every target byte that a tensor
/// covers is written exactly once; padding is written by nobody (targets start as zeros). What a rank already holds is copied
/// locally, so that the moved bytes are the least possible: those that their target lacks. The plan is a function of its
/// arguments: every rank that computes it, whole or only its own part, gets the same.
/// </summary>
public sealed class TransferPlan
{
    internal TransferPlan(Layout from, Layout to, IReadOnlyList<TransferCopy> copies, IReadOnlyList<TransferMean> means)
    {
        From = from;
        To = to;
        Copies = copies;
        Means = means;
    }

    /// <summary>The layout of the sources.</summary>
    public Layout From { get; }

    /// <summary>The layout of the targets.</summary>
    public Layout To { get; }

    /// <summary>Disjoint copies, by target rank.</summary>
    public IReadOnlyList<TransferCopy> Copies { get; }

    /// <summary>Values that are means of several sources; empty unless tensors are <see cref="Replicas.Average"/> and the layouts differ.</summary>
    public IReadOnlyList<TransferMean> Means { get; }

    /// <summary>Bytes that go from one rank to another.</summary>
    public long MovedBytes => Copies.Where(copy => !copy.Local).Sum(copy => copy.Bytes) + Means.Sum(mean => mean.Bytes * mean.Sources.Count(source => source.Rank != mean.Target));

    /// <summary>Bytes that stay on their rank.</summary>
    public long LocalBytes => Copies.Where(copy => copy.Local).Sum(copy => copy.Bytes);

    /// <summary>
    /// The same plan where sources lie within the buffers of others: what a lost rank had, and one that lives has read from where it was saved.
    /// </summary>
    /// <param name="carriers">Of every source rank, the rank that has its buffer now and where it begins there; a negative rank leaves out what comes from that source.</param>
    /// <exception cref="ArgumentException">Not one carrier a source, or the plan has means.</exception>
    public TransferPlan CarriedBy(IReadOnlyList<(int Rank, long Offset)> carriers)
    {
        ArgumentNullException.ThrowIfNull(carriers);
        if (carriers.Count != From.Ranks.Count || Means.Count > 0) throw new ArgumentException($"{carriers.Count} carriers for {From.Ranks.Count} sources and {Means.Count} means", nameof(carriers));
        return new(From, To, [.. Copies.Where(copy => carriers[copy.Source].Rank >= 0).Select(copy => copy with { Source = carriers[copy.Source].Rank, SourceOffset = copy.SourceOffset + carriers[copy.Source].Offset })], []);
    }

    /// <summary>Bytes each source rank sends to others.</summary>
    public IReadOnlyList<long> Sent()
    {
        var sent = new long[From.Ranks.Count];
        foreach (var copy in Copies)
            if (!copy.Local) sent[copy.Source] += copy.Bytes;
        foreach (var mean in Means)
            foreach (var source in mean.Sources)
                if (source.Rank != mean.Target) sent[source.Rank] += mean.Bytes;
        return sent;
    }

    /// <summary>The whole plan.</summary>
    /// <exception cref="PerennialException">
    /// Exit 2: the layouts are not of the same tensors. Exit 3: bytes that a target needs have no holder left; the message lists them.
    /// </exception>
    public static TransferPlan Between(Layout from, Layout to, TransferOptions? options = null) => new TransferPlanner(from, to, options ?? TransferOptions.Default).Plan(null);

    /// <summary>What one target rank receives: the same copies that the whole plan has for it.</summary>
    /// <exception cref="PerennialException">As for <see cref="Between"/>.</exception>
    public static TransferPlan For(int target, Layout from, Layout to, TransferOptions? options = null) => new TransferPlanner(from, to, options ?? TransferOptions.Default).Plan(target);

    /// <summary>The logical ranges that targets need and no rank that is left holds; empty when the plan exists.</summary>
    /// <exception cref="PerennialException">Exit 2: the layouts are not of the same tensors.</exception>
    public static IReadOnlyList<LogicalRange> Missing(Layout from, Layout to, TransferOptions? options = null)
    {
        var planner = new TransferPlanner(from, to, options ?? TransferOptions.Default);
        return planner.Missing();
    }
}
