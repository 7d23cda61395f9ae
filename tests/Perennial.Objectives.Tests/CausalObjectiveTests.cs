using Perennial.Data;
using Perennial.Models;
using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Objectives.Tests;

public class CausalObjectiveTests
{
    [Theory]
    [InlineData(ModelFamily.Llama, false, false)]
    [InlineData(ModelFamily.Llama, true, true)]
    [InlineData(ModelFamily.Qwen2, false, true)]
    [InlineData(ModelFamily.Gpt2, true, false)]
    public void Loss_and_gradients_equal_the_composed_ones(ModelFamily family, bool tied, bool segments)
    {
        using var scope = NewDisposeScope();
        var config = Small(family, tied);
        using var model = Decoder.Fresh(config, 11);
        using var plain = new PlainDecoder(config, Precision.Float32, Copy(model.Parameters));
        var batches = new[] { Batch(config, 3, 16, 1, segments), Batch(config, 2, 16, 2, segments) };
        var objective = new CausalObjective();
        double normalizer = batches.Sum(objective.Targets);

        model.Parameters.ClearGradients();
        double loss = 0, expected = 0;
        foreach (var batch in batches)
        {
            using var micro = NewDisposeScope();
            var part = objective.Loss(model, batch, normalizer);
            part.backward();
            loss += part.item<float>();
            var composed = Composed(plain, batch, normalizer);
            composed.backward();
            expected += composed.item<float>();
        }
        model.Parameters.CompleteGradients();

        Assert.Equal(expected, loss, 1e-5);
        foreach (var entry in model.Parameters.Layout.Entries)
        {
            var (mine, theirs) = (model.Parameters.Gradient(entry.Name), plain.Parameters.Gradient(entry.Name));
            var error = (mine - theirs).norm().item<float>() / (theirs.norm().item<float>() + 1e-12);
            Assert.True(error < 2e-5, $"{entry.Name}: relative error {error}, norms {mine.norm().item<float>()} against {theirs.norm().item<float>()}");
        }
        plain.Parameters.Dispose();
    }

    [Fact]
    public void Full_logits_need_not_exist_for_a_loss_without_gradients()
    {
        using var scope = NewDisposeScope();
        var config = Small(ModelFamily.Llama, false);
        using var model = Decoder.Fresh(config, 5);
        using var _ = no_grad();
        var batch = Batch(config, 2, 16, 3, false);
        var loss = new CausalObjective().Loss(model, batch, 32).item<float>();
        Assert.Equal(Composed(model, batch, 32).item<float>(), loss, 1e-5);
        Assert.Equal(0f, model.Parameters.Gradients.abs().max().item<float>());
    }

    internal static DecoderConfig Small(ModelFamily family, bool tied) => new()
    {
        Family = family, Vocabulary = 67, Context = 16, Width = 64, Layers = 2, Heads = 4, HeadWidth = 16,
        KeyValueHeads = family == ModelFamily.Gpt2 ? 4 : 2, Intermediate = 48, TiedHead = tied, InitializerRange = 0.1,
    };

    internal static FlatParameters Copy(FlatParameters source)
    {
        var copy = new FlatParameters(source.Layout);
        copy.Values.copy_(source.Values);
        return copy;
    }

    internal static TokenBatch Batch(DecoderConfig config, int rows, int time, int seed, bool segments)
    {
        var random = new Random(seed);
        var targets = Enumerable.Range(0, rows * time).Select(_ => (long)random.Next(config.Vocabulary)).ToArray();
        targets[3] = TokenBatch.Ignored;
        return new TokenBatch(rows, time)
        {
            Inputs = [.. Enumerable.Range(0, rows * time).Select(_ => (long)random.Next(config.Vocabulary))],
            Targets = targets,
            Segments = segments ? [.. Enumerable.Range(0, rows * time).Select(i => i % time / 6)] : null,
            SampleIds = new long[rows],
        };
    }

    internal static Tensor Composed(ILanguageModel model, TokenBatch batch, double normalizer)
    {
        var segments = batch.Segments is null ? null : tensor(batch.Segments, batch.Rows, batch.Time).to_type(ScalarType.Int64);
        var hidden = model.Hidden(new ModelInput(tensor(batch.Inputs, batch.Rows, batch.Time), segments));
        var logits = matmul(hidden.view(-1, hidden.shape[2]), model.HeadWeight().t()).to_type(ScalarType.Float32);
        return nn.functional.cross_entropy(logits, tensor(batch.Targets), ignore_index: -100, reduction: nn.Reduction.Sum) / normalizer;
    }
}
