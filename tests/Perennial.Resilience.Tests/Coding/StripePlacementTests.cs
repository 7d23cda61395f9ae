using Perennial.Resilience.Coding;

namespace Perennial.Resilience.Tests.Coding;

public sealed class StripePlacementTests
{
    public static TheoryData<int, int> Groups
    {
        get
        {
            var groups = new TheoryData<int, int>();
            for (var m = 1; m <= 3; m++)
                for (var n = m + 1; n <= (m == 3 ? 6 : 8); n++) groups.Add(n, m);
            return groups;
        }
    }

    [Theory]
    [MemberData(nameof(Groups))]
    public void Every_chunk_is_in_one_stripe_and_no_stripe_has_two_on_one_rank(int n, int m)
    {
        var placement = new StripePlacement(n, m);
        var seen = new HashSet<GroupChunk>();
        for (var stripe = 0; stripe < n; stripe++)
        {
            var members = placement.Stripe(stripe).ToList();
            Assert.Equal(n, members.Select(member => member.Rank).Distinct().Count());
            foreach (var member in members)
            {
                Assert.True(seen.Add(member));
                Assert.Equal(stripe, placement.StripeOf(member));
            }
        }
        for (var rank = 0; rank < n; rank++)
        {
            var own = placement.ChunksOf(rank).ToList();
            Assert.Equal((n - m, m), (own.Count(chunk => !chunk.IsParity), own.Count(chunk => chunk.IsParity)));
            Assert.All(own, chunk => Assert.Contains(chunk, seen));
        }
        Assert.Equal(n * n, seen.Count);
    }

    /// <summary>All patterns of lost ranks up to m: every byte comes back. One more is refused.</summary>
    [Theory]
    [MemberData(nameof(Groups))]
    public void Every_pattern_of_lost_ranks_is_repaired(int n, int m)
    {
        const int Shard = 500;
        var placement = new StripePlacement(n, m);
        var chunk = (int)placement.ChunkBytes(Shard);
        Assert.True(chunk % 64 == 0 && chunk * placement.DataChunks >= Shard);
        var memory = Encoded(placement, chunk);
        var truth = memory.ToDictionary(pair => pair.Key, pair => pair.Value.ToArray());
        for (var pattern = 1; pattern < 1 << n; pattern++)
        {
            var lost = Enumerable.Range(0, n).Where(rank => (pattern >> rank & 1) != 0).ToArray();
            var plan = RepairPlan.ForRanks(placement, lost);
            Assert.Equal(lost.Length <= m, plan is not null);
            if (plan is null) continue;
            foreach (var rank in lost)
                foreach (var gone in placement.ChunksOf(rank)) Array.Clear(memory[gone]);
            foreach (var repair in plan.Stripes)
            {
                Assert.All(repair.Sources, source => Assert.DoesNotContain(source.Rank, lost));
                Decode(placement, repair, memory, chunk);
            }
            foreach (var (key, bytes) in truth) Assert.Equal(bytes, memory[key]);
            if (m == 1) Assert.All(Enumerable.Range(0, n).Except(lost), rank => Assert.Equal(n, plan.SentBy(rank)));
            else Assert.True(Enumerable.Range(0, n).Except(lost).Max(plan.SentBy) - Enumerable.Range(0, n).Except(lost).Min(plan.SentBy) <= m, "the load is uneven");
        }
    }

    [Fact]
    public void Single_lost_chunks_on_many_ranks_are_repaired_as_long_as_no_stripe_loses_too_many()
    {
        var placement = new StripePlacement(4, 1);
        GroupChunk[] damaged = [.. Enumerable.Range(0, 4).Select(stripe => placement.Stripe(stripe).ElementAt(stripe))];
        var plan = RepairPlan.For(placement, damaged.Contains, _ => true)!;
        Assert.Equal(damaged.Length, plan.Stripes.Sum(stripe => stripe.Lost.Count));
        var sameStripe = placement.Stripe(2).Take(2).ToArray();
        Assert.Null(RepairPlan.For(placement, sameStripe.Contains, _ => true));
        Assert.Empty(RepairPlan.For(placement, sameStripe.Contains, _ => false)!.Stripes);
    }

    [Fact]
    public void Two_ranks_are_a_mirror_and_impossible_groups_are_refused()
    {
        var mirror = new StripePlacement(2, 1);
        Assert.Equal((1, 1), (mirror.ParityRank(0, 0) + mirror.DataRank(0, 0), mirror.DataChunks));
        Assert.Throws<ArgumentOutOfRangeException>(() => new StripePlacement(2, 2));
        Assert.Throws<ArgumentOutOfRangeException>(() => new StripePlacement(256, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => new StripePlacement(3, 0));
    }

    private static Dictionary<GroupChunk, byte[]> Encoded(StripePlacement placement, int chunk)
    {
        var memory = Enumerable.Range(0, placement.Ranks).SelectMany(placement.ChunksOf)
            .ToDictionary(key => key, key => key.IsParity ? new byte[chunk] : Reference.Random(chunk, (ulong)(key.Rank * 16 + key.Index)));
        var code = ErasureCode.Create(placement.DataChunks, placement.Losses);
        for (var stripe = 0; stripe < placement.Ranks; stripe++)
        {
            var members = placement.Stripe(stripe).ToArray();
            for (var parity = 0; parity < placement.Losses; parity++)
                memory[members[placement.DataChunks + parity]] = Reference.Combine([.. members[..placement.DataChunks].Select(member => memory[member])],
                    [.. Enumerable.Range(0, placement.DataChunks).Select(data => code.Coefficient(parity, data))]);
        }
        return memory;
    }

    private static void Decode(StripePlacement placement, StripeRepair repair, Dictionary<GroupChunk, byte[]> memory, int chunk)
    {
        var members = placement.Stripe(repair.Stripe).ToArray();
        var blocks = members.Select((member, index) => repair.Lost.Contains(index) || repair.Sources.Contains(member) ? new Block(chunk, index, memory[member]) : null).ToArray();
        ErasureCode.Create(placement.DataChunks, placement.Losses).Decode([.. blocks.Select(block => block?.Address ?? 0)], [.. repair.Lost], chunk);
        foreach (var index in repair.Lost) memory[members[index]] = blocks[index]!.Span.ToArray();
        foreach (var block in blocks) block?.Dispose();
    }
}
