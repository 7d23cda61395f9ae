using Perennial.Resilience.Snapshots;

namespace Perennial.Resilience.Tests.Snapshots;

public sealed class SmallPartsTests
{
    [Theory]
    [InlineData(1.05, 4 << 20, 2 << 20)]
    [InlineData(1.015, 4 << 20, 4 << 20)]
    [InlineData(1.001, 4 << 20, 8 << 20)]
    [InlineData(1.5, 256 << 10, 256 << 10)]
    [InlineData(1.0, 16 << 20, 16 << 20)]
    public void Buckets_halve_above_the_budget_and_double_below_half_of_it(double slowdown, long current, long expected) =>
        Assert.Equal(expected, new ChunkGovernor().Next(current, slowdown, 1));

    [Fact]
    public void The_kernel_s_kills_are_read_where_they_are_told()
    {
        var path = Path.GetTempFileName();
        File.WriteAllText(path, "low 0\noom 5\noom_kill 3\noom_group_kill 9\n");
        Assert.Equal(3, OutOfMemoryKills.Count(path));
        File.WriteAllText(path, "nothing\n");
        Assert.Equal(0, OutOfMemoryKills.Count(path));
        File.Delete(path);
        Assert.Equal(0, OutOfMemoryKills.Count(path));
    }

    [Theory]
    [InlineData(1000, 1, 0, 1024)]
    [InlineData(1000, 2, 1, 1024)]
    [InlineData(1000, 4, 1, 1152)]
    [InlineData(1000, 5, 2, 1152)]
    public void Slots_are_padded_to_whole_chunks_and_overhead_is_that_of_the_paper(long bytes, int n, int m, long capacity)
    {
        var identity = new SlotIdentity(Guid.Empty, 0, 0, bytes, n, 0, m);
        Assert.Equal(capacity, identity.DataCapacity);
        Assert.Equal(m == 0 ? 0 : capacity * m / (n - m), identity.ParityCapacity);
        Assert.Equal(4096, SlotIdentity.FittingBucket(1, capacity));
        Assert.Equal(1 << 20, SlotIdentity.FittingBucket(1, 64L << 30));
    }

    [Fact]
    public void The_step_to_restore_needs_every_group()
    {
        RankInventory Holds(int rank, params long[] steps) => new(new(Guid.Empty, rank, 0, 100, 2, rank % 2, 1), 1, true, -1, "",
            [.. steps.SelectMany((step, slot) => new[] { new SlotReport(SlotKind.Data, slot, SlotState.Prepared, step, true, null, []), new SlotReport(SlotKind.Parity, slot, SlotState.Prepared, step, false, null, []) })]);
        ShardingGroup[] groups = [new([0, 1], 1), new([2, 3], 1)];
        Assert.Equal(7, RestoreChoice.Of(groups, [Holds(0, 7, 6), Holds(1, 7, 6), Holds(2, 7, 6), Holds(3, 7, 6)]).Step);
        var one = RestoreChoice.Of(groups, [Holds(0, 7, 6), Holds(1, 6), Holds(2, 6), Holds(3, 7)]);
        Assert.Equal((7, RestoreSource.Parity, RestoreSource.Parity), (one.Step, one.Sources[1], one.Sources[2]));
        var older = RestoreChoice.Of(groups, [Holds(0, 7, 6), Holds(1, 7, 6), Holds(2, 6), Holds(3, 6)]);
        Assert.Equal(6, older.Step);
        Assert.Contains("cannot be restored from memory", older.Reasons[0], StringComparison.Ordinal);
        Assert.Null(RestoreChoice.Of(groups, [Holds(0, 7), Holds(1, 7)]).Step);
        // Data of the step without its parity does not make up for a lost member.
        var bare = new RankInventory(new(Guid.Empty, 1, 0, 100, 2, 1, 1), 1, true, -1, "", [new(SlotKind.Data, 0, SlotState.Prepared, 7, true, null, [])]);
        Assert.Null(RestoreChoice.Of([groups[0]], [bare]).Step);
    }
}
