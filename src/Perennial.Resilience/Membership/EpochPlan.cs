using System.Globalization;

namespace Perennial.Resilience.Membership;

/// <summary>What the coordinator decides from what it sees: a pure function.</summary>
public static class EpochPlan
{
    /// <summary>
    /// The next epoch, or null where the present one stands. Survivors keep their order, so ranks only move down; newcomers follow by
    /// (order, id). A loss makes a new epoch at once and takes all newcomers along.
    /// </summary>
    /// <param name="current">The present epoch; null before the first.</param>
    /// <param name="alive">All members with a living lease and without a failed doubt, known and new.</param>
    /// <param name="settled">True when newcomers may be admitted without a loss, or, where nobody survived, without waiting for the rest.</param>
    /// <param name="seen">The greatest id considered.</param>
    /// <param name="options">Expected and minimum numbers.</param>
    public static Epoch? Next(Epoch? current, IReadOnlyCollection<Member> alive, bool settled, long seen, MembershipOptions options)
    {
        var living = alive.ToDictionary(member => member.Id);
        var survivors = (current?.Members ?? []).Where(member => living.ContainsKey(member.Id)).ToList();
        var newcomers = alive.Where(member => member.Id > (current?.Seen ?? 0)).OrderBy(member => member.Order).ThenBy(member => member.Id).ToList();
        var lost = (current?.Members ?? []).Where(member => !living.ContainsKey(member.Id)).ToList();
        if (lost.Count == 0 && (newcomers.Count == 0 || !settled)) return null;
        // Where nobody survived there is no step to hurry for: all are waited for, as at the beginning, but not for ever.
        if (current is not null && survivors.Count == 0 && newcomers.Count < options.Expected && !settled) return null;
        if (survivors.Count + newcomers.Count < (current is null ? options.Expected : options.Minimum)) return null;
        return new Epoch((current?.Number ?? 0) + 1, [.. survivors, .. newcomers], Math.Max(seen, current?.Seen ?? 0), Reason(lost, newcomers));
    }

    private static string Reason(List<Member> lost, List<Member> newcomers)
    {
        static string Names(List<Member> members) =>
            string.Join(", ", members.Select(member => string.Create(CultureInfo.InvariantCulture, $"{member.Id} on {member.Node}")));
        return (lost.Count, newcomers.Count) switch
        {
            (0, _) => $"joined: {Names(newcomers)}",
            (_, 0) => $"lost: {Names(lost)}",
            _ => $"lost: {Names(lost)}; joined: {Names(newcomers)}",
        };
    }
}
