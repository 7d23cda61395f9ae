using Perennial.Data;
using Perennial.Models;
using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Objectives.Tests;

public class DropoutTests
{
    private static readonly DropoutKey Key = new(5, 17, [100, 200, 300]);

    private static DecoderConfig Config(ModelFamily family) => CausalObjectiveTests.Small(family, false) with { Dropout = 0.25 };

    [Theory]
    [InlineData(ModelFamily.Llama, false)]
    [InlineData(ModelFamily.Qwen2, false)]
    [InlineData(ModelFamily.Gpt2, false)]
    [InlineData(ModelFamily.Gpt2, true)]
    public void Loss_and_gradients_equal_the_composed_ones_under_the_same_masks(ModelFamily family, bool checkpoint)
    {
        using var scope = NewDisposeScope();
        var config = Config(family);
        using var model = Decoder.Fresh(config, 11, execution: new DecoderExecution { CheckpointActivations = checkpoint });
        using var parameters = CausalObjectiveTests.Copy(model.Parameters);
        using var plain = new PlainDecoder(config, Precision.Float32, parameters) { Dropout = Key };
        var batch = CausalObjectiveTests.Batch(config, 3, 16, 1, false);
        model.Dropout = Key;
        var loss = Backward(model, batch, 47);
        parameters.ClearGradients();
        var composed = CausalObjectiveTests.Composed(plain, batch, 47);
        composed.backward();
        Assert.Equal(composed.item<float>(), loss, 1e-5);
        foreach (var entry in parameters.Layout.Entries)
        {
            var (mine, theirs) = (model.Parameters.Gradient(entry.Name), parameters.Gradient(entry.Name));
            var error = (mine - theirs).norm().item<float>() / (theirs.norm().item<float>() + 1e-12);
            Assert.True(error < 2e-5, $"{entry.Name}: relative error {error}");
        }
    }

    [Theory]
    [InlineData(Precision.Float32)]
    [InlineData(Precision.Bfloat16)]
    public void Every_split_of_a_batch_sees_the_same_masks(Precision precision)
    {
        using var scope = NewDisposeScope();
        var config = Config(ModelFamily.Llama);
        using var model = Decoder.Fresh(config, 11, precision);
        var batch = CausalObjectiveTests.Batch(config, 3, 16, 1, false);
        model.Dropout = Key;
        var whole = Backward(model, batch, 47);
        var gradient = model.Parameters.Gradients.clone();
        double parts = 0;
        model.Parameters.ClearGradients();
        // Other rows together, in another order: each row keeps its sample's masks.
        foreach (var rows in new[] { 1..3, 0..1 })
        {
            using var micro = NewDisposeScope();
            model.Dropout = Key with { Samples = [.. Key.Samples.Take(rows)] };
            var loss = new CausalObjective().Loss(model, Rows(batch, rows), 47);
            loss.backward();
            parts += loss.item<float>();
        }
        model.Parameters.CompleteGradients();
        var tolerance = precision == Precision.Float32 ? 1e-5 : 1e-2;
        Assert.Equal(whole, parts, tolerance);
        Assert.True((model.Parameters.Gradients - gradient).norm().item<float>() < tolerance * gradient.norm().item<float>());
    }

    [Fact]
    public void Masks_change_with_seed_step_and_sample_and_scoring_has_none()
    {
        using var scope = NewDisposeScope();
        var config = Config(ModelFamily.Llama);
        using var model = Decoder.Fresh(config, 11);
        var batch = CausalObjectiveTests.Batch(config, 3, 16, 1, false);
        float Loss(DropoutKey key)
        {
            model.Dropout = key;
            return Backward(model, batch, 47);
        }
        var loss = Loss(Key);
        Assert.Equal(loss, Loss(Key));
        Assert.NotEqual(loss, Loss(Key with { Seed = 6 }));
        Assert.NotEqual(loss, Loss(Key with { Step = 18 }));
        Assert.NotEqual(loss, Loss(Key with { Samples = [100, 201, 300] }));
        using var plain = new PlainDecoder(config with { Dropout = 0 }, Precision.Float32, model.Parameters);
        using (no_grad()) Assert.Equal(CausalObjectiveTests.Composed(plain, batch, 47).item<float>(), new CausalObjective().Loss(model, batch, 47).item<float>(), 1e-5);
        model.Dropout = null;
        Assert.Throws<InvalidOperationException>(() => Backward(model, batch, 47));
    }

    [Fact]
    public void The_share_dropped_is_the_rate_and_the_mean_is_kept()
    {
        using var scope = NewDisposeScope();
        var config = Config(ModelFamily.Llama) with { Layers = 0, Vocabulary = 1, Context = 1024, Width = 64 };
        using var model = new PlainDecoder(config, Precision.Float32) { Dropout = Key };
        // A constant embedding: what reaches the norm is 0 or 1/(1 − rate), which the norm scales by one factor a token.
        using (no_grad())
        {
            foreach (var entry in model.Parameters.Layout.Entries)
            {
                using var values = model.Parameters.Value(entry.Name);
                values.fill_(1);
            }
        }
        var hidden = model.Hidden(new ModelInput(zeros(3, 1024, ScalarType.Int64), null));
        var dropped = hidden.eq(0).to_type(ScalarType.Float32).mean().item<float>();
        // 196,608 draws: five deviations are 0.005.
        Assert.Equal(0.25, dropped, 0.005);
    }

    private static TokenBatch Rows(TokenBatch batch, Range rows)
    {
        var (first, count) = rows.GetOffsetAndLength(batch.Rows);
        var tokens = (first * batch.Time)..((first + count) * batch.Time);
        return new TokenBatch(count, batch.Time) { Inputs = batch.Inputs[tokens], Targets = batch.Targets[tokens], SampleIds = batch.SampleIds[rows] };
    }

    private static float Backward(Decoder model, TokenBatch batch, double normalizer)
    {
        using var scope = NewDisposeScope();
        model.Parameters.ClearGradients();
        var loss = new CausalObjective().Loss(model, batch, normalizer);
        loss.backward();
        model.Parameters.CompleteGradients();
        return loss.item<float>();
    }
}
