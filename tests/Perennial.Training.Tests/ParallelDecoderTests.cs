using Perennial.Core;
using Perennial.Data;
using Perennial.Models;
using Perennial.Objectives;
using Perennial.Optimization;
using Perennial.Resilience.Layouts;
using Perennial.Resilience.Plans;
using Perennial.Tensors;
using Perennial.Training.Parallel;
using static TorchSharp.torch;

namespace Perennial.Training.Tests;

/// <summary>Every parallel shape computes what one process computes.</summary>
public class ParallelDecoderTests
{
    public ParallelDecoderTests() => TorchRuntime.EnsureLoaded();

    private static DecoderConfig Config(ModelFamily family, bool tied) => new()
    {
        Family = family, Vocabulary = 67, Context = 16, Width = 64, Layers = 3, Heads = 4, HeadWidth = 16,
        KeyValueHeads = family == ModelFamily.Gpt2 ? 4 : 2, Intermediate = 88, TiedHead = tied, InitializerRange = 0.1,
    };

    private static TokenBatch Batch(int seed, bool segments = false)
    {
        var random = new Random(seed);
        var targets = Enumerable.Range(0, 8 * 16).Select(_ => (long)random.Next(67)).ToArray();
        targets[3] = TokenBatch.Ignored;
        return new TokenBatch(8, 16)
        {
            Inputs = [.. targets.Select(_ => (long)random.Next(67))], Targets = targets, SampleIds = new long[8],
            Segments = segments ? [.. Enumerable.Range(0, 8 * 16).Select(i => i % 16 / 6)] : null,
        };
    }

    private static IOptimizer AdamW(FlatParameters parameters) => new AdamW(new AdamWOptions(), parameters);

    public static TheoryData<ModelFamily, bool, string> Shapes
    {
        get
        {
            var data = new TheoryData<ModelFamily, bool, string>();
            foreach (var shape in new[] { "data=2", "tensor=2", "pipeline=2", "tensor=4", "pipeline=3,zero=1", "data=2,tensor=2,pipeline=2,zero=1" }) data.Add(ModelFamily.Llama, false, shape);
            foreach (var shape in new[] { "tensor=2,pipeline=2", "data=3,zero=1", "data=2,zero=3" }) data.Add(ModelFamily.Llama, true, shape);
            foreach (var shape in new[] { "tensor=4,pipeline=2", "data=2,tensor=4,pipeline=2,zero=3" }) data.Add(ModelFamily.Qwen2, false, shape);
            foreach (var shape in new[] { "tensor=3", "data=4,zero=3", "data=2,tensor=2,pipeline=2,zero=1" }) data.Add(ModelFamily.Gpt2, true, shape);
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Shapes))]
    public void Gradients_and_steps_are_those_of_one_process(ModelFamily family, bool tied, string shape)
    {
        var config = Config(family, tied);
        using var one = new LocalWorld(config, ParallelShape.Single, AdamW);
        using var many = new LocalWorld(config, ParallelShape.Parse(shape), AdamW);
        one.Initialize(5);
        many.Initialize(5);
        Assert.Equal(Whole(one, rank => rank.Decoder.Kept.Values), Whole(many, rank => rank.Decoder.Kept.Values));
        for (var step = 1; step <= 3; step++)
        {
            var batch = Batch(step, segments: true);
            var (alone, together) = (one.Step(batch, step), many.Step(batch, step));
            Assert.Equal(alone.Loss, together.Loss, 1e-5 * alone.Loss);
            Assert.Equal(alone.Norm, together.Norm, 2e-5 * alone.Norm);
            if (step > 1 || many.Placement.Shape.Zero > 0) continue;
            using var scope = NewDisposeScope();
            var (mine, theirs) = (tensor(Whole(many, rank => rank.Decoder.Model.Parameters.Gradients)), tensor(Whole(one, rank => rank.Decoder.Model.Parameters.Gradients)));
            foreach (var entry in one.Placement.Global.Entries)
            {
                var (a, b) = (FlatParameters.View(mine, entry), FlatParameters.View(theirs, entry));
                var error = (a - b).norm().item<float>() / (b.norm().item<float>() + 1e-12);
                Assert.True(error < 3e-5, $"{entry.Name}: relative error {error}");
            }
        }
    }

    [Fact]
    public void A_pipeline_gives_the_bits_of_one_process()
    {
        var config = Config(ModelFamily.Llama, false);
        using var one = new LocalWorld(config, ParallelShape.Single, AdamW);
        using var many = new LocalWorld(config, new ParallelShape(Pipeline: 3), AdamW);
        one.Initialize(5);
        many.Initialize(5);
        one.Step(Batch(1), 0);
        many.Step(Batch(1), 0);
        Assert.Equal(Whole(one, rank => rank.Decoder.Model.Parameters.Gradients), Whole(many, rank => rank.Decoder.Model.Parameters.Gradients));
    }

    [Theory]
    [InlineData("tensor=2,pipeline=2")]
    [InlineData("data=2,tensor=2")]
    [InlineData("data=2,zero=3")]
    public void Bfloat16_is_as_near_as_bfloat16_is(string shape)
    {
        var config = Config(ModelFamily.Llama, false);
        using var one = new LocalWorld(config, ParallelShape.Single, AdamW, precision: Precision.Bfloat16);
        using var many = new LocalWorld(config, ParallelShape.Parse(shape), AdamW, precision: Precision.Bfloat16);
        one.Initialize(5);
        many.Initialize(5);
        var (alone, together) = (one.Step(Batch(1), 1), many.Step(Batch(1), 1));
        Assert.Equal(alone.Loss, together.Loss, 0.01);
        Assert.Equal(alone.Norm, together.Norm, 0.03 * alone.Norm);
    }

    [Fact]
    public void Models_that_cannot_be_cut_are_refused_at_the_door()
    {
        var config = Config(ModelFamily.Llama, false);
        Assert.Contains("5 stages for 3 layers", Refused(config, "pipeline=5"), StringComparison.Ordinal);
        Assert.Contains("cannot be cut over 3 tensor ranks", Refused(config, "tensor=3"), StringComparison.Ordinal);
        Assert.Contains("does not fit the kernels", Refused(config with { HeadWidth = 12 }, "tensor=2"), StringComparison.Ordinal);

        static string Refused(DecoderConfig config, string shape)
        {
            var error = Assert.Throws<PerennialException>(() => new LocalWorld(config, ParallelShape.Parse(shape), AdamW));
            Assert.Equal(ExitCode.Usage, error.Code);
            return error.Message;
        }
    }

    /// <summary>The whole model's values of a buffer that every rank has its part of, read over the layout; copies must agree.</summary>
    private static float[] Whole(LocalWorld world, Func<LocalRank, Tensor> buffer)
    {
        var whole = new DecoderPlacement(world.Placement.Config, ParallelShape.Single).Whole;
        var values = new float[whole.Ranks[0].Bytes / sizeof(float)];
        var plan = TransferPlan.Between(world.Placement.Kept, whole);
        using var scope = NewDisposeScope();
        var sources = world.Ranks.Select(rank => FlatBytes.At(TensorMemory.Pointer(buffer(rank)), buffer(rank).NumberOfElements * sizeof(float))).ToList();
        var bytes = new byte[values.Length * sizeof(float)];
        TransferRun.Apply(plan, sources, [FlatBytes.Of(bytes)]);
        Buffer.BlockCopy(bytes, 0, values, 0, bytes.Length);
        return values;
    }
}
