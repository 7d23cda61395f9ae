using CsCheck;
using Perennial.Core;
using Perennial.Resilience.Layouts;
using Perennial.Resilience.Plans;
using Perennial.Resilience.Tests.Layouts;

namespace Perennial.Resilience.Tests.Plans;

public class TransferPlanTests
{
    private static readonly RandomLayouts.Model Decoder = new(4, 8, 4, 2, 12, 37, Fused: true, Tied: true, ByGroup: false, Multiple: 2);

    public static TheoryData<string> Names => ["single", "dp4-zero1", "dp2-tp2", "pp2-dp2", "tp4", "zero3x4", "zero3x3-interleaved", "tp8-dp2-zero1", "pp4-tp2"];

    private static Layout Named(string name) => name switch
    {
        "single" => Decoder.Layout(ParallelShape.Single),
        "dp4-zero1" => Decoder.Layout(new(4, Zero: 1)),
        "dp2-tp2" => Decoder.Layout(new(2, 2)),
        "pp2-dp2" => Decoder.Layout(new(2, Pipeline: 2)),
        "tp4" => Decoder.Layout(new(Tensor: 4)),
        "zero3x4" => Decoder.Layout(new(4, Zero: 3)),
        "zero3x3-interleaved" => Decoder.Layout(new(3, Zero: 3), new LayoutOptions(64, Interleave: true)),
        "tp8-dp2-zero1" => Decoder.Layout(new(2, 8, Zero: 1)),
        "pp4-tp2" => Decoder.Layout(new(Tensor: 2, Pipeline: 4)),
        _ => throw new ArgumentOutOfRangeException(nameof(name)),
    };

    [Theory]
    [MemberData(nameof(Names))]
    public void The_layout_matrix_is_bit_equal_in_all_ordered_pairs(string name)
    {
        var from = Named(name);
        var source = RandomLayouts.Fill(from);
        foreach (var other in Names)
        {
            Check(from, Named(other), source);
        }
    }

    [Fact]
    public void Random_layouts_up_to_64_ranks_transfer_bit_equal_at_the_least_cost() =>
        RandomLayouts.Models.SelectMany(model => Gen.Select(RandomLayouts.Shapes(model), RandomLayouts.Shapes(model)).Select((from, to) => (model, from, to))).Sample(sample =>
        {
            var from = sample.model.Layout(sample.from.Shape, sample.from.Options);
            var to = sample.model.Layout(sample.to.Shape, sample.to.Options);
            Check(to, from, Check(from, to, RandomLayouts.Fill(from)));
        }, iter: 30);

    [Fact]
    public void Wild_layouts_transfer_bit_equal_at_the_least_cost() =>
        Gen.Select(Gen.Select(Gen.Int[1, 7], Gen.Int[1, 9]).Array[1, 4], Gen.Int[1, 9], Gen.Int[1, 9], Gen.UInt).Sample((shapes, fromRanks, toRanks, seed) =>
        {
            var tensors = shapes.Select((shape, i) => new LogicalTensor($"t{i}", i % 3 == 2 ? [shape.Item1] : [shape.Item1, shape.Item2], i % 2 == 0 ? 4 : 2)).ToList();
            var from = RandomLayouts.Wild(tensors, fromRanks, seed);
            Check(from, RandomLayouts.Wild(tensors, toRanks, seed + 1), RandomLayouts.Fill(from));
        }, iter: 150);

    [Fact]
    public void A_rank_that_plans_alone_gets_its_part_of_the_whole_plan() =>
        RandomLayouts.Models.SelectMany(model => Gen.Select(RandomLayouts.Shapes(model), RandomLayouts.Shapes(model)).Select((from, to) => (model, from, to))).Sample(sample =>
        {
            var from = sample.model.Layout(sample.from.Shape, sample.from.Options);
            var to = sample.model.Layout(sample.to.Shape, sample.to.Options);
            var whole = TransferPlan.Between(from, to);
            foreach (var rank in new[] { 0, to.Ranks.Count / 2, to.Ranks.Count - 1 })
                Assert.Equal(whole.Copies.Where(copy => copy.Target == rank), TransferPlan.For(rank, from, to).Copies);
        }, iter: 6);

    [Fact]
    public void Nothing_moves_where_nothing_changes()
    {
        foreach (var name in Names)
        {
            var plan = TransferPlan.Between(Named(name), Named(name));
            Assert.Equal(0, plan.MovedBytes);
            Assert.All(plan.Copies, copy => Assert.True(copy.Local && copy.SourceOffset == copy.TargetOffset));
        }
    }

    [Fact]
    public void Neighbouring_pieces_are_one_copy()
    {
        // Slices in order to one rank: one copy a slice, over all tensors.
        var from = Decoder.Layout(new(4, Zero: 3));
        var to = LayoutBuilder.Build(Decoder.Rules.Apply(Decoder.Tensors()), ParallelShape.Single, cut: false);
        Assert.InRange(TransferPlan.Between(from, to).Copies.Count, 4, 8);
        // A column shard is one strided copy, however many rows it has.
        LogicalTensor[] tensors = [new("layers.0.w", [1000, 64], 4)];
        Layout Cut(int ranks) => LayoutBuilder.Build(new RuleTable([new("layers.{layer}.w", new ShardDimension(1))]).Apply(tensors), new(Tensor: ranks), cut: false);
        Assert.Equal(4, TransferPlan.Between(Cut(4), Cut(1)).Copies.Count);
        Assert.Equal(4, TransferPlan.Between(Cut(4), Cut(2)).Copies.Count);
    }

    [Fact]
    public void Replicas_share_the_sending()
    {
        // Eight replicas feed one newcomer with tensors of very unequal sizes: the shares differ by less than a large piece's grain.
        LogicalTensor[] tensors = [new("layers.0.big", [2048, 1024], 4), new("layers.0.mid", [512, 512], 4), new("layers.0.small", [1024], 4)];
        var rules = new RuleTable([new("layers.{layer}.*", new Replicate())]);
        Layout Copies(int ranks) => LayoutBuilder.Build(rules.Apply(tensors), new(ranks), cut: false);
        var plan = TransferPlan.Between(Copies(8).Renumbered(9, [0, 1, 2, 3, 4, 5, 6, 7]), Copies(9));
        Assert.Equal(Copies(9).Ranks[0].Bytes, plan.MovedBytes);
        var sent = plan.Sent().Take(8).ToList();
        Assert.True(sent.Max() - sent.Min() <= 16 * 1024, $"from {sent.Min()} to {sent.Max()}");
    }

    [Fact]
    public void A_source_on_the_same_node_is_preferred()
    {
        LogicalTensor[] tensors = [new("layers.0.w", [64], 4)];
        var layout = LayoutBuilder.Build(new RuleTable([new("layers.{layer}.w", new Replicate())]).Apply(tensors), new(4), cut: false);
        var plan = TransferPlan.Between(layout, layout, new TransferOptions(new HashSet<int> { 3 }, RanksPerNode: 2));
        Assert.Equal(2, plan.Copies.Single(copy => copy.Target == 3).Source);
    }

    [Fact]
    public void Lost_ranks_are_not_sources_and_a_loss_without_a_holder_is_told()
    {
        var zero = Decoder.Layout(new(4, Zero: 3));
        var lost = new HashSet<int> { 2 };
        var missing = TransferPlan.Missing(zero, Decoder.Layout(ParallelShape.Single), new TransferOptions(lost));
        Assert.Equal(zero.Ranks[2].Held, missing.Sum(range => range.Length));
        Assert.Equal(zero.Uncovered(lost), missing);
        var refusal = Assert.Throws<PerennialException>(() => TransferPlan.Between(zero, Decoder.Layout(ParallelShape.Single), new TransferOptions(lost)));
        Assert.Equal(ExitCode.Damaged, refusal.Code);
        Assert.Contains(missing[0].Tensor, refusal.Message, StringComparison.Ordinal);

        var replicas = Decoder.Layout(new(2, 2));
        var plan = TransferPlan.Between(replicas, replicas, new TransferOptions(new HashSet<int> { 0, 3 }));
        Assert.DoesNotContain(plan.Copies, copy => copy.Source is 0 or 3);
        Assert.Equal(replicas.Ranks[0].Held + replicas.Ranks[3].Held, plan.MovedBytes);
        Check(replicas, replicas, RandomLayouts.Fill(replicas), new TransferOptions(new HashSet<int> { 0, 3 }));
    }

    [Fact]
    public void Values_that_may_differ_are_averaged_when_the_layout_changes_and_kept_when_not()
    {
        LogicalTensor[] tensors = [new("layers.0.norm", [3], 4)];
        var rules = new RuleTable([new("layers.{layer}.norm", new Replicate(), Replicas: Replicas.Average)]);
        Layout Copies(int ranks) => LayoutBuilder.Build(rules.Apply(tensors), new(Tensor: ranks), cut: false);
        float[][] values = [[1, 2, 3], [3, 2, 4]];
        var sources = values.Select(list => FlatBytes.Of(System.Runtime.InteropServices.MemoryMarshal.AsBytes<float>(list).ToArray())).ToList();
        float[] Loaded(int ranks, int rank)
        {
            var targets = Enumerable.Range(0, ranks).Select(_ => FlatBytes.Of(new byte[12])).ToList();
            TransferRun.Apply(TransferPlan.Between(Copies(2), Copies(ranks)), sources, targets);
            return System.Runtime.InteropServices.MemoryMarshal.Cast<byte, float>(targets[rank].Slice(0, 12)).ToArray();
        }
        Assert.Equal([2f, 2f, 3.5f], Loaded(1, 0));
        Assert.Equal([2f, 2f, 3.5f], Loaded(4, 3));
        Assert.Equal(values[1], Loaded(2, 1));
    }

    [Fact]
    public void Layouts_of_different_tensors_are_refused()
    {
        Layout One(string name, long rows, int element = 4) => Layout.Of([new LogicalTensor(name, [rows], element)], [new RankBuffer(64, [new LayoutRun(0, 0, 0, rows * element)])]);
        foreach (var (from, to) in new[] { (One("a", 4), One("b", 4)), (One("a", 4), One("a", 5)), (One("a", 4), One("a", 4, 2)) })
            Assert.Equal(ExitCode.Usage, Assert.Throws<PerennialException>(() => TransferPlan.Between(from, to)).Code);
        var two = Layout.Of([new LogicalTensor("a", [4], 4), new LogicalTensor("b", [4], 4)], [new RankBuffer(32, [new LayoutRun(0, 0, 0, 16), new LayoutRun(1, 0, 16, 16)])]);
        Assert.Throws<PerennialException>(() => TransferPlan.Between(two, One("a", 4)));
        Assert.Equal(16, TransferPlan.Between(two, One("a", 4), new TransferOptions(Unused: true)).LocalBytes);
    }

    /// <summary>Plans and carries out; proves bytes, single writes, bounds and the minimum with the byte-by-byte reading. Returns the targets.</summary>
    private static byte[][] Check(Layout from, Layout to, byte[][] sources, TransferOptions? options = null)
    {
        var plan = TransferPlan.Between(from, to, options);
        var writes = to.Ranks.Select(rank => new byte[rank.Bytes]).ToArray();
        foreach (var block in plan.Copies.SelectMany(copy => copy.Blocks()))
            for (long i = 0; i < block.Length; i++) writes[block.Target][block.TargetOffset + i]++;
        var targets = to.Ranks.Select(rank => new byte[rank.Bytes]).ToArray();
        TransferRun.Apply(plan, [.. sources.Select(bytes => FlatBytes.Of(bytes))], [.. targets.Select(bytes => FlatBytes.Of(bytes))]);
        var expected = RandomLayouts.Fill(to);
        long least = 0;
        for (var rank = 0; rank < targets.Length; rank++)
        {
            Assert.Equal(expected[rank], targets[rank]);
            var reading = RandomLayouts.Reading(to, rank);
            var held = rank < from.Ranks.Count && options?.Lost?.Contains(rank) != true ? RandomLayouts.Reading(from, rank).Where(place => place is not null).ToHashSet() : [];
            for (var i = 0; i < reading.Length; i++)
            {
                Assert.Equal(reading[i] is null ? 0 : 1, writes[rank][i]);
                if (reading[i] is not null && !held.Contains(reading[i])) least++;
            }
        }
        Assert.Equal(least, plan.MovedBytes);
        return targets;
    }
}
