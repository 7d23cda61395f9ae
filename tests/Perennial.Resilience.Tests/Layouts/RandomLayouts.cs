using CsCheck;
using Perennial.Resilience.Layouts;

namespace Perennial.Resilience.Tests.Layouts;

/// <summary>Random models and random ways to lay them out, and a slow, independent reading of a layout: byte by byte.</summary>
internal static class RandomLayouts
{
    /// <summary>A model with fused, strided, vocabulary and scalar tensors whose sizes are awkward on purpose.</summary>
    public sealed record Model(int Layers, int Heads, int KeyValueHeads, int HeadWidth, int Inner, int Vocabulary, bool Fused, bool Tied, bool ByGroup, int Multiple)
    {
        public int Width => Heads * HeadWidth;

        public DecoderDimensions Dimensions => new(Heads, KeyValueHeads, HeadWidth, Inner, Tied, Multiple);

        public RuleTable Rules => Fused ? DecoderRules.Fused(Dimensions, ByGroup) : DecoderRules.Qwen2(Dimensions);

        public List<LogicalTensor> Tensors()
        {
            long width = Width, queries = Heads * HeadWidth, keys = KeyValueHeads * HeadWidth;
            var tensors = new List<LogicalTensor> { new("model.embed_tokens.weight", [Vocabulary, width], 4) };
            for (var layer = 0; layer < Layers; layer++)
            {
                var name = $"model.layers.{layer}.";
                if (Fused)
                {
                    tensors.Add(new(name + "self_attn.qkv_proj.weight", [queries + 2 * keys, width], 4));
                    tensors.Add(new(name + "mlp.gate_up_proj.weight", [2 * Inner, width], 4));
                }
                else
                {
                    foreach (var (part, rows) in new[] { ("q", queries), ("k", keys), ("v", keys) })
                    {
                        tensors.Add(new(name + $"self_attn.{part}_proj.weight", [rows, width], 4));
                        tensors.Add(new(name + $"self_attn.{part}_proj.bias", [rows], 4));
                    }
                    tensors.Add(new(name + "mlp.gate_proj.weight", [Inner, width], 4));
                    tensors.Add(new(name + "mlp.up_proj.weight", [Inner, width], 4));
                }
                tensors.Add(new(name + "self_attn.o_proj.weight", [width, queries], 4));
                tensors.Add(new(name + "mlp.down_proj.weight", [width, Inner], 4));
                tensors.Add(new(name + "input_layernorm.weight", [width], 4));
                tensors.Add(new(name + "post_attention_layernorm.weight", [width], 4));
            }
            if (!Tied) tensors.Add(new("lm_head.weight", [Vocabulary, width], 4));
            tensors.Add(new("model.norm.weight", [width], 4));
            return tensors;
        }

        public Layout Layout(ParallelShape shape, LayoutOptions? options = null, bool? cut = null) =>
            LayoutBuilder.Build(Rules.Apply(Tensors()), shape, cut ?? shape.Zero > 0, options ?? new LayoutOptions(4));
    }

    private static Gen<T> Of<T>(params T[] values) => Gen.Int[0, values.Length - 1].Select(i => values[i]);

    public static Gen<Model> Models { get; } = Gen.Select(Gen.Int[1, 3], Of((4, 4), (4, 2), (8, 2), (6, 3)), Gen.Int[1, 3], Gen.Int[8, 13], Gen.Int[9, 40], Gen.Bool, Gen.Bool)
        .Select((layers, heads, width, inner, vocabulary, fused, tied) =>
            new Model(layers, heads.Item1, heads.Item2, width, inner, vocabulary, fused, tied, fused && tied && heads.Item2 == 4, 1 + inner % 3));

    /// <summary>Shapes that the random models can be cut into, up to 64 ranks.</summary>
    public static Gen<(ParallelShape Shape, LayoutOptions Options)> Shapes(Model model) =>
        Gen.Select(Gen.Int[1, 8], Of(1, 2, 4), Gen.Int[1, 2], Gen.Int[0, 3], Gen.Bool, Of(4, 8, 64))
            .Select((data, tensor, pipeline, zero, interleave, alignment) =>
            {
                // Six heads in three groups cannot be cut in four.
                if (model.KeyValueHeads == 3 && tensor == 4) tensor = 2;
                if (model.ByGroup && model.KeyValueHeads % tensor != 0) tensor = 1;
                return (new ParallelShape(data, tensor, pipeline, zero), new LayoutOptions(alignment, interleave));
            });

    /// <summary>Any placement at all: each rank holds random stretches and columns of the tensors, all bytes held by somebody.</summary>
    public static Layout Wild(IReadOnlyList<LogicalTensor> tensors, int ranks, uint seed)
    {
        var random = new Random((int)(seed & 0x7fffffff));
        var buffers = new RankBuffer[ranks];
        var runs = new List<LayoutRun>[ranks];
        for (var rank = 0; rank < ranks; rank++) runs[rank] = [];
        for (var index = 0; index < tensors.Count; index++)
        {
            var tensor = tensors[index];
            if (tensor.Bytes == 0) continue;
            for (var copy = 0; copy < 1 + random.Next(3); copy++)
            {
                // Each copy of the tensor is cut on its own, by columns or as a stretch, and dealt to ranks that have none of it yet.
                var free = Enumerable.Range(0, ranks).Where(rank => !runs[rank].Any(run => run.Tensor == index)).OrderBy(_ => random.Next()).ToList();
                if (free.Count == 0) break;
                var byColumns = tensor.Shape.Count == 2 && random.Next(2) == 0;
                var length = byColumns ? tensor.Shape[1] : tensor.Elements;
                var cuts = new SortedSet<long> { 0, length };
                for (var i = 0; i < Math.Min(3, free.Count - 1); i++) cuts.Add(random.NextInt64(length + 1));
                foreach (var ((start, end), rank) in cuts.Zip(cuts.Skip(1)).Zip(free))
                    runs[rank].Add(byColumns
                        ? new LayoutRun(index, start * tensor.ElementBytes, 0, (end - start) * tensor.ElementBytes, tensor.Shape[0], length * tensor.ElementBytes, (end - start) * tensor.ElementBytes)
                        : new LayoutRun(index, start * tensor.ElementBytes, 0, (end - start) * tensor.ElementBytes));
            }
        }
        for (var rank = 0; rank < ranks; rank++)
        {
            long end = 0;
            var placed = new List<LayoutRun>();
            foreach (var run in runs[rank].OrderBy(_ => random.Next()))
            {
                end += 4 * random.Next(3);
                placed.Add(run with { Local = end });
                end = placed[^1].LocalEnd;
            }
            buffers[rank] = new(end, placed);
        }
        return Layout.Of(tensors, buffers);
    }

    /// <summary>What each byte of a rank's buffer is: (tensor, offset), or null for padding.</summary>
    public static (string Tensor, long Offset)?[] Reading(Layout layout, int rank)
    {
        var bytes = new (string, long)?[layout.Ranks[rank].Bytes];
        foreach (var run in layout.Ranks[rank].Runs)
            for (long block = 0; block < run.Count; block++)
                for (long i = 0; i < run.Length; i++)
                {
                    var local = run.Local + block * run.LocalStride + i;
                    Assert.Null(bytes[local]);
                    bytes[local] = (layout.Tensors[run.Tensor].Name, run.Logical + block * run.LogicalStride + i);
                }
        return bytes;
    }

    /// <summary>A value for a logical byte, different for different tensors and places.</summary>
    public static byte Value(string tensor, long offset, int salt = 0)
    {
        var hash = (ulong)(offset + 1) * 0x9E3779B97F4A7C15 + (ulong)salt * 0xD1B54A32D192ED03;
        foreach (var letter in tensor) hash = (hash ^ letter) * 0x100000001B3;
        return (byte)(hash >> 40);
    }

    /// <summary>Buffers of all ranks, filled by the slow reading; padding is zero.</summary>
    public static byte[][] Fill(Layout layout, int salt = 0) =>
        [.. Enumerable.Range(0, layout.Ranks.Count).Select(rank => Array.ConvertAll(Reading(layout, rank), place => place is { } at ? Value(at.Tensor, at.Offset, salt) : (byte)0))];
}
