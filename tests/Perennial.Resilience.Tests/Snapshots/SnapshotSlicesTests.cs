using CsCheck;
using Perennial.Resilience.Snapshots;
using Perennial.Resilience.Survival;

namespace Perennial.Resilience.Tests.Snapshots;

public sealed class SnapshotSlicesTests
{
    [Theory]
    [InlineData("none", 0, 0)]
    [InlineData("xor", 0, 1)]
    [InlineData("rs(4+2)", 4, 2)]
    [InlineData("rs( 2 + 3 )", 2, 3)]
    [InlineData("rs(+2)", 0, 2)]
    public void Parity_is_read_and_written(string text, int data, int losses)
    {
        var choice = ParityChoice.Parse(text)!;
        Assert.Equal((data, losses), (choice.Data, choice.Losses));
        Assert.Equal(choice, ParityChoice.Parse(choice.ToString()));
    }

    [Theory]
    [InlineData("raid")]
    [InlineData("rs(4)")]
    [InlineData("rs(0+2)")]
    [InlineData("rs(4+0)")]
    [InlineData("rs(254+2)")]
    public void Parity_of_another_form_is_none(string text) => Assert.Null(ParityChoice.Parse(text));

    private static readonly Gen<(List<string> Nodes, ParityChoice Parity, long Bytes)> Memberships =
        from nodes in Gen.Int[1, 20]
        from workers in Gen.Int[0, 6].Array[nodes]
        from losses in Gen.Int[0, 3]
        from data in Gen.Int[0, 4]
        from bytes in Gen.Long[1, 100_000]
        select (workers.SelectMany((count, node) => Enumerable.Repeat($"node{node}", node == 0 ? count + 1 : count)).ToList(), new ParityChoice(losses == 0 ? 0 : data, losses), bytes);

    [Fact]
    public void Every_byte_is_one_slice_s_and_every_group_lies_on_different_nodes() => Memberships.Sample(membership =>
    {
        var slices = SnapshotSlices.Of(membership.Nodes, membership.Parity);
        var size = slices.SliceBytes(membership.Bytes);
        Assert.True(size * slices.All.Count >= membership.Bytes);
        Assert.Equal(Enumerable.Range(0, slices.All.Count), slices.All.Select(slice => slice.Number));
        // Even: every node keeps as many slices, and a slice is copied by a process of its own node.
        Assert.Single(slices.All.GroupBy(slice => slice.Node).Select(node => node.Count()).Distinct());
        Assert.All(slices.All, slice => Assert.Equal(slice.Node, membership.Nodes[slice.Writer]));
        Assert.Equal(membership.Nodes.Count, slices.All.Select(slice => slice.Writer).Distinct().Count());
        var byId = slices.All.ToDictionary(slice => slice.Id);
        Assert.Equal(slices.All.Count, slices.Groups.Sum(group => group.Ranks.Count));
        foreach (var group in slices.Groups)
        {
            Assert.Equal(group.Ranks.Count, group.Ranks.Select(id => byId[id].Node).Distinct().Count());
            Assert.True(group.Losses <= membership.Parity.Losses && group.Losses < Math.Max(2, group.Ranks.Count));
            if (slices.All.Select(slice => slice.Node).Distinct().Count() >= membership.Parity.LeastNodes) Assert.Equal(membership.Parity.Losses, group.Losses);
        }
    }, iter: 300);

    [Fact]
    public void The_order_of_processes_does_not_matter_to_the_memory_but_the_nodes_do()
    {
        var slices = SnapshotSlices.Of(["a", "b", "a", "b"], ParityChoice.Xor);
        Assert.Equal(slices.All.Select(slice => slice.Id), SnapshotSlices.Of(["b", "a", "b", "a"], ParityChoice.Xor).All.Select(slice => slice.Id));
        Assert.NotEqual(slices.Tag, SnapshotSlices.Of(["a", "c", "a", "c"], ParityChoice.Xor).Tag);
        Assert.NotEqual(slices.Tag, SnapshotSlices.Of(["a", "b", "a", "b"], ParityChoice.None).Tag);
    }

    [Theory]
    [InlineData(1, 0.0042, "none")]
    [InlineData(2, 0.0042, "xor")]
    [InlineData(4, 0, "none")]
    [InlineData(4, 0.0042, "xor")]
    [InlineData(4096, 0.05, "rs(+3)")]
    [InlineData(512, 0.0042, "rs(+2)")]
    public void Auto_says_what_it_takes_and_why(int nodes, double failures, string expected)
    {
        var advice = ParityAdvice.For(nodes, failures);
        Assert.Equal(expected, advice.Choice.ToString());
        Assert.All(advice.Lines, line => Assert.StartsWith("parity auto:", line, StringComparison.Ordinal));
    }
}
