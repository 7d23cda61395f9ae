using System.IO.Hashing;
using Perennial.Models;
using Perennial.Optimization;
using Perennial.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Perennial.Objectives.Tests;

public class DecoderStepTests
{
    [Theory]
    [InlineData(ModelFamily.Llama, true)]
    [InlineData(ModelFamily.Llama, false)]
    [InlineData(ModelFamily.Qwen2, true)]
    [InlineData(ModelFamily.Qwen2, false)]
    [InlineData(ModelFamily.Gpt2, true)]
    [InlineData(ModelFamily.Gpt2, false)]
    public void Bfloat16_gradients_are_near_the_composed_ones(ModelFamily family, bool native)
    {
        using var scope = NewDisposeScope();
        var config = CausalObjectiveTests.Small(family, false);
        using var model = Decoder.Fresh(config, 11, Precision.Bfloat16, new DecoderExecution { NativeBfloat16 = native });
        using var parameters = CausalObjectiveTests.Copy(model.Parameters);
        using var exact = new PlainDecoder(config, Precision.Float32, parameters);
        var batch = CausalObjectiveTests.Batch(config, 3, 16, 1, false);
        var loss = Backward(model, batch, 47);
        var composed = CausalObjectiveTests.Composed(exact, batch, 47);
        composed.backward();
        Assert.Equal(composed.item<float>(), loss, 0.02);
        // bfloat16 has eight bits: a relative error of 2⁻⁹ an operand grows to a few hundredths over two blocks.
        foreach (var entry in parameters.Layout.Entries)
        {
            var (mine, theirs) = (model.Parameters.Gradient(entry.Name), parameters.Gradient(entry.Name));
            var error = (mine - theirs).norm().item<float>() / (theirs.norm().item<float>() + 1e-3f);
            Assert.True(error < 0.05, $"{entry.Name}: relative error {error}");
        }
    }

    [Theory]
    [InlineData(Precision.Float32, ModelFamily.Llama)]
    [InlineData(Precision.Bfloat16, ModelFamily.Llama)]
    [InlineData(Precision.Float32, ModelFamily.Gpt2)]
    public void Checkpointed_activations_change_no_bit(Precision precision, ModelFamily family)
    {
        using var scope = NewDisposeScope();
        var config = CausalObjectiveTests.Small(family, false);
        var batch = CausalObjectiveTests.Batch(config, 3, 16, 1, true);
        var gradients = new List<byte[]>();
        foreach (var checkpoint in new[] { false, true })
        {
            using var model = Decoder.Fresh(config, 11, precision, new DecoderExecution { CheckpointActivations = checkpoint });
            Backward(model, batch, 47);
            gradients.Add(model.Parameters.Gradients.bytes.ToArray());
        }
        Assert.Equal(gradients[0], gradients[1]);
    }

    [Fact]
    public void Two_runs_of_five_steps_end_in_the_same_bits()
    {
        var hashes = new List<UInt128>();
        for (var run = 0; run < 2; run++)
        {
            using var model = Decoder.Fresh(CausalObjectiveTests.Small(ModelFamily.Llama, false), 7);
            using var optimizer = new AdamW(new AdamWOptions(), model.Parameters);
            for (var step = 1; step <= 5; step++) Step(model, optimizer, step);
            hashes.Add(XxHash128.HashToUInt128(model.Parameters.Values.bytes));
        }
        Assert.Equal(hashes[0], hashes[1]);
    }

    [Fact]
    public void No_tensor_survives_a_step()
    {
        using var model = Decoder.Fresh(CausalObjectiveTests.Small(ModelFamily.Llama, false), 7);
        using var optimizer = new AdamW(new AdamWOptions(), model.Parameters);
        for (var step = 1; step <= 3; step++) Step(model, optimizer, step);
        var before = DisposeScopeManager.Statistics.TensorStatistics.ThreadTotalLiveCount;
        for (var step = 4; step <= 10; step++) Step(model, optimizer, step);
        Assert.Equal(before, DisposeScopeManager.Statistics.TensorStatistics.ThreadTotalLiveCount);
    }

    [Fact]
    public void A_scaled_loss_scales_every_gradient()
    {
        using var scope = NewDisposeScope();
        var config = CausalObjectiveTests.Small(ModelFamily.Llama, false);
        var batch = CausalObjectiveTests.Batch(config, 2, 16, 4, false);
        using var model = Decoder.Fresh(config, 3);
        Backward(model, batch, 31);
        var once = model.Parameters.Gradients.clone();
        model.Parameters.ClearGradients();
        (new CausalObjective().Loss(model, batch, 31) * 3).backward();
        model.Parameters.CompleteGradients();
        Assert.True((model.Parameters.Gradients - 3 * once).norm().item<float>() < 1e-5 * once.norm().item<float>());
    }

    [Fact]
    public void Ids_outside_the_vocabulary_are_refused()
    {
        using var scope = NewDisposeScope();
        using var model = Decoder.Fresh(CausalObjectiveTests.Small(ModelFamily.Llama, false), 3);
        Assert.Contains("67", Assert.Throws<ArgumentException>(() => model.Hidden(new ModelInput(tensor(new long[] { 67 }, 1, 1), null))).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => model.Hidden(new ModelInput(zeros(1, 17, ScalarType.Int64), null)));
    }

    private static float Backward(Decoder model, Data.TokenBatch batch, double normalizer)
    {
        using var scope = NewDisposeScope();
        model.Parameters.ClearGradients();
        var loss = new CausalObjective().Loss(model, batch, normalizer);
        loss.backward();
        model.Parameters.CompleteGradients();
        return loss.item<float>();
    }

    private static void Step(Decoder model, AdamW optimizer, int step)
    {
        Backward(model, CausalObjectiveTests.Batch(model.Config, 3, 16, step, false), 47);
        optimizer.Step(step, 1e-3, GradientNorm.Of(model.Parameters.Gradients).ClipScale(1));
        model.ParametersChanged();
    }
}
