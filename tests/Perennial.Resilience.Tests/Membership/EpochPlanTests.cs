using CsCheck;
using Perennial.Resilience.Membership;

namespace Perennial.Resilience.Tests.Membership;

public sealed class EpochPlanTests
{
    private static readonly MembershipOptions Options = new() { Run = "r" };

    [Fact]
    public void Ranks_only_close_up_and_nobody_comes_twice_or_from_the_dead() =>
        Gen.Select(Gen.Bool.Array[1, 12], Gen.Int[0, 12], Gen.Bool).Sample((living, known, settled) =>
        {
            known = Math.Min(known, living.Length);
            var everyone = living.Select((_, i) => new Member(i + 1, "a", "n", Order: living.Length - i)).ToList();
            var current = known == 0 ? null : new Epoch(7, everyone[..known], known, "");
            var alive = everyone.Where((_, i) => living[i]).ToList();
            var next = EpochPlan.Next(current, alive, settled, everyone.Count, Options);
            var changed = (current?.Members ?? []).Any(member => !alive.Contains(member)) || (settled && alive.Any(member => member.Id > known));
            Assert.Equal(changed && alive.Count > 0, next is not null);
            if (next is null) return;
            Assert.Equal(alive.ToHashSet(), next.Members.ToHashSet());
            Assert.Equal(next.Members.Count, next.Members.Distinct().Count());
            Assert.Equal((current?.Number ?? 0) + 1, next.Number);
            Assert.Equal(everyone.Count, next.Seen);
            var survivors = (current?.Members ?? []).Where(alive.Contains).ToList();
            Assert.Equal(survivors, next.Members.Take(survivors.Count));
            Assert.Equal(next.Members.Skip(survivors.Count).OrderBy(member => member.Order), next.Members.Skip(survivors.Count));
            Assert.Equal(-1, next.RankOf(999));
        });

    [Fact]
    public void An_epoch_survives_the_store()
    {
        var epoch = new Epoch(3, [new Member(5, "10.0.0.1", "n", 2, 9)], 8, "joined: 5 on n");
        var read = Epoch.Parse(epoch.ToBytes());
        Assert.Equal((epoch.Number, epoch.Seen, epoch.Reason), (read.Number, read.Seen, read.Reason));
        Assert.Equal(epoch.Members, read.Members);
    }
}
