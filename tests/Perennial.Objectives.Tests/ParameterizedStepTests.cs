using Perennial.Models;
using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Objectives.Tests;

/// <summary>Whole decoders whose matrices are made of parts, against the composed decoder.</summary>
public class ParameterizedStepTests
{
    private static WeightForm Form(string name) => name switch
    {
        "lora" => new LoraParameterization(new LoraOptions { Rank = 4 }).Form,
        "low-rank" => new LowRankParameterization(new LowRankTrainingOptions { Rank = 16, Alpha = 32 }).Form,
        "sltrain" => new SltrainParameterization(new SltrainOptions { Rank = 4, Density = 0.1 }).Form,
        "outlier-safe" => new OutlierSafeParameterization(new OutlierSafeOptions()).Form,
        _ => new SparseParameterization(new SparseOptions { Sparsity = 0.5 }).Form,
    };

    [Theory]
    [InlineData("lora", ModelFamily.Llama, Precision.Float32, null, 2e-5)]
    [InlineData("low-rank", ModelFamily.Gpt2, Precision.Float32, null, 2e-5)]
    [InlineData("sltrain", ModelFamily.Qwen2, Precision.Float32, null, 2e-5)]
    [InlineData("sparse", ModelFamily.Llama, Precision.Float32, null, 2e-5)]
    [InlineData("outlier-safe", ModelFamily.Qwen2, Precision.Float32, null, 2e-5)]
    [InlineData("outlier-safe", ModelFamily.Llama, Precision.Bfloat16, true, 0.05)]
    [InlineData("lora", ModelFamily.Llama, Precision.Bfloat16, false, 0.05)]
    [InlineData("lora", ModelFamily.Llama, Precision.Bfloat16, true, 0.05)]
    [InlineData("sltrain", ModelFamily.Llama, Precision.Bfloat16, false, 0.05)]
    [InlineData("sltrain", ModelFamily.Llama, Precision.Bfloat16, true, 0.05)]
    public void Gradients_equal_the_composed_ones(string form, ModelFamily family, Precision precision, bool? native, double tolerance)
    {
        TorchRuntime.Initialize();
        using var scope = NewDisposeScope();
        var config = CausalObjectiveTests.Small(family, family == ModelFamily.Gpt2);
        using var model = Decoder.Fresh(config, 11, precision, new DecoderExecution { NativeBfloat16 = native }, new WeightMap(config, Form(form), 11));
        using (no_grad())
            foreach (var matrix in model.Map!.Matrices.Where(matrix => matrix.B is not null)) FlatParameters.View(model.Parameters.Values, matrix.B!).copy_(randn([.. matrix.B!.Shape], generator: new Generator(9)) * (precision == Precision.Float32 ? 0.3 : 0.03));
        model.ParametersChanged();
        using var parameters = CausalObjectiveTests.Copy(model.Parameters);
        using var exact = new PlainDecoder(config, Precision.Float32, parameters, model.Map);
        var batches = new[] { CausalObjectiveTests.Batch(config, 3, 16, 1, true), CausalObjectiveTests.Batch(config, 2, 16, 2, false) };
        model.Parameters.ClearGradients();
        foreach (var batch in batches)
        {
            var loss = new CausalObjective().Loss(model, batch, 78);
            loss.backward();
            var composed = CausalObjectiveTests.Composed(exact, batch, 78);
            composed.backward();
            Assert.Equal(composed.item<float>(), loss.item<float>(), precision == Precision.Float32 ? 1e-5 : 0.02);
        }
        model.Parameters.CompleteGradients();
        foreach (var entry in parameters.Layout.Entries)
        {
            var (mine, theirs) = (model.Parameters.Gradient(entry.Name), parameters.Gradient(entry.Name));
            var error = (mine - theirs).norm().item<float>() / (theirs.norm().item<float>() + (precision == Precision.Float32 ? 1e-12f : 1e-3f));
            Assert.True(error < tolerance, $"{entry.Name}: relative error {error}");
        }
    }

    [Fact]
    public void No_tensor_survives_a_step()
    {
        TorchRuntime.Initialize();
        var config = CausalObjectiveTests.Small(ModelFamily.Llama, false);
        using var model = Decoder.Fresh(config, 7, map: new WeightMap(config, Form("sltrain"), 7));
        using var lora = Decoder.Fresh(config, 7, map: new WeightMap(config, Form("lora"), 7));
        var before = 0L;
        for (var step = 1; step <= 6; step++)
        {
            if (step == 4) before = TorchSharp.DisposeScopeManager.Statistics.TensorStatistics.ThreadTotalLiveCount;
            foreach (var each in new[] { model, lora })
            {
                using var scope = NewDisposeScope();
                each.Parameters.ClearGradients();
                new CausalObjective().Loss(each, CausalObjectiveTests.Batch(config, 3, 16, step, false), 47).backward();
                each.Parameters.CompleteGradients();
                each.ParametersChanged();
            }
        }
        Assert.Equal(before, TorchSharp.DisposeScopeManager.Statistics.TensorStatistics.ThreadTotalLiveCount);
    }
}
