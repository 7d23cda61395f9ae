using CsCheck;
using Perennial.Core;
using Perennial.Resilience.Layouts;

namespace Perennial.Resilience.Tests.Layouts;

public class LayoutTests
{
    private static readonly DecoderDimensions Grouped = new(Heads: 8, KeyValueHeads: 2, HeadWidth: 4, Intermediate: 12, Tied: true);

    [Fact]
    public void A_shape_numbers_its_ranks_tensor_first_then_data_then_stage()
    {
        var shape = new ParallelShape(Data: 3, Tensor: 2, Pipeline: 2);
        Assert.Equal(new RankCoordinates(Data: 1, Tensor: 1, Pipeline: 0), shape.CoordinatesOf(3));
        Assert.Equal(new RankCoordinates(Data: 0, Tensor: 0, Pipeline: 1), shape.CoordinatesOf(6));
        for (var rank = 0; rank < shape.Ranks; rank++) Assert.Equal(rank, shape.RankOf(shape.CoordinatesOf(rank)));
        Assert.Equal(new ParallelShape(4, 2, 1, 1), ParallelShape.Parse(new ParallelShape(4, 2, 1, 1).ToString()));
        foreach (var wrong in new[] { "data=0", "zero=4", "data=2,data=3", "depth=2", "data" })
            Assert.Equal(ExitCode.Usage, Assert.Throws<PerennialException>(() => ParallelShape.Parse(wrong)).Code);
    }

    [Fact]
    public void Without_parallelism_the_layout_is_the_flat_index()
    {
        var model = new RandomLayouts.Model(2, 8, 2, 4, 12, 20, Fused: false, Tied: true, ByGroup: false, Multiple: 1);
        var layout = model.Layout(ParallelShape.Single);
        long offset = 0;
        Assert.Equal(layout.Tensors.Count, layout.Ranks[0].Runs.Count);
        foreach (var (tensor, run) in layout.Tensors.Zip(layout.Ranks[0].Runs))
        {
            Assert.Equal(new LayoutRun(run.Tensor, 0, offset, tensor.Bytes), run);
            offset += tensor.Bytes;
        }
        Assert.Equal(offset, layout.Ranks[0].Bytes);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(4)]
    public void A_fused_matrix_gives_each_rank_its_queries_then_its_keys_then_its_values(int ranks)
    {
        // 8 query heads and 2 key-value heads of 4 rows: q 0-31, k 32-39, v 40-47; with 4 ranks two share a key-value head.
        var rule = DecoderRules.Fused(Grouped).Rules.Single(entry => entry.Match.Contains("qkv", StringComparison.Ordinal)).Shard;
        var tensor = new LogicalTensor("qkv", [48, 1], 1);
        for (var rank = 0; rank < ranks; rank++)
        {
            var group = rank / Math.Max(1, ranks / 2);
            var perRank = 32 / ranks;
            var keyRows = ranks == 1 ? Enumerable.Range(0, 8) : Enumerable.Range(group * 4, 4);
            var expected = Enumerable.Range(rank * perRank, perRank).Concat(keyRows.Select(row => 32 + row)).Concat(keyRows.Select(row => 40 + row));
            var (runs, bytes) = rule.Place(tensor, 0, rank, ranks);
            Assert.Equal(expected, Rows(runs));
            Assert.Equal(expected.Count(), bytes);
        }
    }

    [Fact]
    public void Rows_ordered_by_group_are_the_same_rows_in_another_local_order()
    {
        var model = Grouped with { KeyValueHeads = 8 };
        var rule = DecoderRules.Fused(model, byGroup: true).Rules.Single(entry => entry.Match.Contains("qkv", StringComparison.Ordinal)).Shard;
        var (runs, _) = rule.Place(new LogicalTensor("qkv", [96, 1], 1), 0, rank: 1, ranks: 4);
        // Heads 2 and 3: rows 8-11 of q, k, v, then 12-15 of q, k, v.
        int[] heads = [2, 3];
        Assert.Equal(heads.SelectMany(head => new[] { 0, 32, 64 }.SelectMany(part => Enumerable.Range(part + head * 4, 4))), Rows(runs));
    }

    [Fact]
    public void A_row_parallel_matrix_is_one_strided_run()
    {
        var (runs, bytes) = new ShardDimension(1).Place(new LogicalTensor("down", [5, 6], 4), 0, rank: 1, ranks: 2);
        Assert.Equal(new LayoutRun(0, 12, 0, 12, 5, 24, 12), Assert.Single(runs));
        Assert.Equal(60, bytes);
    }

    [Fact]
    public void A_padded_vocabulary_pads_buffers_not_tensors()
    {
        var tensor = new LogicalTensor("wte", [10, 2], 4);
        var parts = Enumerable.Range(0, 4).Select(rank => new ShardVocabulary(4).Place(tensor, 0, rank, 4)).ToList();
        Assert.All(parts, part => Assert.Equal(4 * 8, part.Bytes));
        Assert.Equal([4 * 8, 4 * 8, 2 * 8, 0], parts.Select(part => part.Runs.Sum(run => run.Bytes)));
    }

    [Fact]
    public void A_tied_embedding_is_owned_by_the_first_stage()
    {
        var model = new RandomLayouts.Model(2, 4, 2, 2, 8, 16, Fused: true, Tied: true, ByGroup: false, Multiple: 1);
        var layout = model.Layout(new ParallelShape(Pipeline: 2));
        Assert.Equal([false, true], layout.Ranks.Select(rank => rank.Runs.Single(run => run.Tensor == 0).Replica));
    }

    [Fact]
    public void Zero_keeps_tensors_whole_where_it_must()
    {
        var tensors = Enumerable.Range(0, 5).Select(i => new LogicalTensor($"layers.{i}.w", [7, 3], 4)).ToList();
        var rules = new RuleTable([new TensorRule("layers.{layer}.w", new Replicate(), Whole: true)]);
        var layout = LayoutBuilder.Build(rules.Apply(tensors), new ParallelShape(Data: 2, Zero: 1), cut: true);
        Assert.All(layout.Ranks.SelectMany(rank => rank.Runs), run => Assert.Equal(84, run.Bytes));
        Assert.Equal([3, 2], layout.Ranks.Select(rank => rank.Runs.Count));
    }

    [Fact]
    public void Interleaved_zero_gives_every_rank_a_piece_of_every_tensor()
    {
        var model = new RandomLayouts.Model(2, 4, 2, 4, 16, 32, Fused: false, Tied: false, ByGroup: false, Multiple: 1);
        var layout = model.Layout(new ParallelShape(Data: 4, Zero: 3), new LayoutOptions(4, Interleave: true));
        Assert.All(layout.Ranks, rank => Assert.Equal(layout.Tensors.Count, rank.Runs.Select(run => run.Tensor).Distinct().Count()));
    }

    [Fact]
    public void Every_built_layout_holds_every_byte_and_survives_its_json() =>
        RandomLayouts.Models.SelectMany(model => RandomLayouts.Shapes(model).Select(shape => (model, shape))).Sample(sample =>
        {
            var layout = sample.model.Layout(sample.shape.Shape, sample.shape.Options);
            Assert.Empty(layout.Uncovered());
            var held = new HashSet<(string, long)>();
            for (var rank = 0; rank < layout.Ranks.Count; rank++)
                foreach (var place in RandomLayouts.Reading(layout, rank))
                    if (place is { } at) held.Add(at);
            Assert.Equal(layout.Tensors.Sum(tensor => tensor.Bytes), held.Count);
            var again = LayoutJson.Read(System.Text.Json.Nodes.JsonNode.Parse(LayoutJson.Write(layout).ToJsonString()), "test");
            Assert.Equal(layout.HashText, again.HashText);
            Assert.Equal(layout.Ranks.SelectMany(rank => rank.Runs), again.Ranks.SelectMany(rank => rank.Runs));
        }, iter: 24);

    [Fact]
    public void The_hash_tells_placements_apart_and_is_the_same_tomorrow()
    {
        var tensors = new[] { new LogicalTensor("a", [4, 2], 4) };
        Layout At(long local) => Layout.Of(tensors, [new RankBuffer(64, [new LayoutRun(0, 0, local, 32)])]);
        Assert.Equal(At(0), At(0));
        Assert.NotEqual(At(0), At(32));
        // Two halves are the whole in normal form.
        Assert.Equal(At(0), Layout.Of(tensors, [new RankBuffer(64, [new LayoutRun(0, 16, 16, 16), new LayoutRun(0, 0, 0, 8, 2, 8, 8)])]));
    }

    [Theory]
    [InlineData(0, 0, 36, "outside")]
    [InlineData(-4, 0, 8, "outside")]
    [InlineData(0, 40, 32, "outside")]
    [InlineData(0, 0, 6, "cuts an element")]
    public void An_impossible_run_is_refused(long logical, long local, long length, string reason) =>
        Assert.Contains(reason, Assert.Throws<PerennialException>(() =>
            Layout.Of([new LogicalTensor("a", [8], 4)], [new RankBuffer(64, [new LayoutRun(0, logical, local, length)])])).Message, StringComparison.Ordinal);

    [Fact]
    public void Runs_that_lie_on_each_other_are_refused()
    {
        var tensors = new[] { new LogicalTensor("a", [4, 4], 4), new LogicalTensor("b", [4], 4) };
        Layout Two(LayoutRun first, LayoutRun second) => Layout.Of(tensors, [new RankBuffer(200, [first, second])]);
        var columns = new LayoutRun(0, 0, 0, 8, 4, 16, 16);
        Two(columns, columns with { Logical = 8, Local = 8 });
        Assert.Contains("same bytes", Assert.Throws<PerennialException>(() => Two(columns, columns with { Logical = 8, Local = 4 })).Message, StringComparison.Ordinal);
        Assert.Contains("same bytes", Assert.Throws<PerennialException>(() => Two(columns, new LayoutRun(1, 0, 32, 16))).Message, StringComparison.Ordinal);
        Assert.Contains("twice", Assert.Throws<PerennialException>(() => Two(columns, new LayoutRun(0, 20, 100, 8))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Nothing_is_guessed_about_rules()
    {
        LogicalTensor[] tensors = [new("layers.0.w", [4], 4), new("odd", [4], 4)];
        void Refused(string reason, params TensorRule[] rules) =>
            Assert.Contains(reason, Assert.Throws<PerennialException>(() => new RuleTable(rules).Apply(tensors)).Message, StringComparison.Ordinal);
        var layers = new TensorRule("layers.{layer}.w", new Replicate());
        Refused("no rule", layers);
        Refused("both match", layers, new("*", new Replicate(), StageRule.First));
        Refused("matches no tensor", layers, new("odd", new Replicate(), StageRule.First), new("even", new Replicate(), StageRule.First));
        Refused("names no {layer}", layers, new("odd", new Replicate()));
    }

    [Fact]
    public void What_cannot_be_cut_is_refused_with_the_tensors_name()
    {
        var model = new RandomLayouts.Model(1, 6, 3, 2, 8, 16, Fused: false, Tied: true, ByGroup: false, Multiple: 1);
        Assert.Contains("q_proj", Assert.Throws<PerennialException>(() => model.Layout(new ParallelShape(Tensor: 4))).Message, StringComparison.Ordinal);
        Assert.Contains("layers a stage", Assert.Throws<PerennialException>(() => model.Layout(new ParallelShape(Pipeline: 2), new LayoutOptions(4, LayersPerStage: [2, 1]))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Damaged_json_is_told_as_damage()
    {
        var good = LayoutJson.Write(new RandomLayouts.Model(1, 4, 2, 2, 8, 16, false, true, false, 1).Layout(new ParallelShape(Data: 2, Zero: 3))).ToJsonString();
        foreach (var bad in new[] { "null", "[]", "{}", good.Replace("\"format\":1", "\"format\":2", StringComparison.Ordinal), good.Replace("\"ranks\":[0", "\"ranks\":[7", StringComparison.Ordinal), good.Replace("\"element\":4", "\"element\":5", StringComparison.Ordinal) })
            Assert.Equal(ExitCode.Damaged, Assert.Throws<PerennialException>(() => LayoutJson.Read(System.Text.Json.Nodes.JsonNode.Parse(bad), "here")).Code);
    }

    [Fact]
    public void Gpt2_and_uneven_heads_are_covered_on_every_rank_count()
    {
        LogicalTensor[] tensors = [
            new("transformer.wte.weight", [21, 12], 4), new("transformer.wpe.weight", [8, 12], 4),
            .. Enumerable.Range(0, 3).SelectMany(layer => new LogicalTensor[] {
                new($"transformer.h.{layer}.attn.c_attn.weight", [12, 36], 4), new($"transformer.h.{layer}.attn.c_attn.bias", [36], 4),
                new($"transformer.h.{layer}.attn.c_proj.weight", [12, 12], 4), new($"transformer.h.{layer}.attn.c_proj.bias", [12], 4),
                new($"transformer.h.{layer}.mlp.c_fc.weight", [12, 20], 4), new($"transformer.h.{layer}.mlp.c_fc.bias", [20], 4),
                new($"transformer.h.{layer}.mlp.c_proj.weight", [20, 12], 4), new($"transformer.h.{layer}.mlp.c_proj.bias", [12], 4),
                new($"transformer.h.{layer}.ln_1.weight", [12], 4), new($"transformer.h.{layer}.ln_1.bias", [12], 4),
                new($"transformer.h.{layer}.ln_2.weight", [12], 4), new($"transformer.h.{layer}.ln_2.bias", [12], 4) }),
            new("transformer.ln_f.weight", [12], 4), new("transformer.ln_f.bias", [12], 4)];
        var rules = DecoderRules.Gpt2(new DecoderDimensions(Heads: 6, KeyValueHeads: 6, HeadWidth: 2, Intermediate: 20, Tied: true));
        for (var ranks = 1; ranks <= 6; ranks++)
            Assert.Empty(LayoutBuilder.Build(rules.Apply(tensors), new ParallelShape(2, ranks, 2, 3), cut: true).Uncovered());
    }

    private static IEnumerable<int> Rows(IEnumerable<LayoutRun> runs) =>
        runs.OrderBy(run => run.Local).SelectMany(run => Enumerable.Range((int)run.Logical, (int)run.Length));
}
