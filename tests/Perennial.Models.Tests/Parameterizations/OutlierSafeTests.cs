using Perennial.Core;
using Perennial.Models.Inference;
using Perennial.Tensors;
using static TorchSharp.torch;
using Generator = TorchSharp.torch.Generator;

namespace Perennial.Models.Tests.Parameterizations;

public class OutlierSafeTests
{
    private static readonly WeightForm Form = new OutlierSafeParameterization(new OutlierSafeOptions()).Form;

    public OutlierSafeTests() => TorchRuntime.Initialize();

    private static Decoder Trained(DecoderConfig config)
    {
        var model = Decoder.Fresh(config, 7, map: new WeightMap(config, Form, 7));
        using var scope = NewDisposeScope();
        using (no_grad()) model.Parameters.Values.add_(randn(model.Parameters.Layout.Length, generator: new Generator(3)) * 0.05);
        model.ParametersChanged();
        return model;
    }

    /// <summary>The merged weights are an ordinary Llama with the same logits, within float32's rounding (1e-5).</summary>
    [Fact]
    public void Merging_keeps_the_logits()
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var config = Forms.Config(ModelFamily.Llama);
        using var model = Trained(config);
        using var plain = new Decoder(config);
        foreach (var entry in plain.Parameters.Layout.Entries) plain.Parameters.Value(entry.Name).copy_(model.Map!.Merge(entry, model.Parameters.Values, null));
        plain.ParametersChanged();
        var input = new ModelInput(randint(0, 67, [3, 16], dtype: ScalarType.Int64, generator: new Generator(5)), null);
        Assert.True((Logits(model, input) - Logits(plain, input)).abs().max().item<float>() < 1e-5 * Logits(plain, input).abs().max().item<float>());
        foreach (var norm in plain.Parameters.Layout.Entries.Where(entry => !entry.Decays)) Assert.Single(plain.Parameters.Value(norm.Name).data<float>().ToArray().Distinct());
        using var incremental = new IncrementalDecoder(model);
        var ids = Enumerable.Range(0, 16).Select(i => (int)input.Tokens[0, i].item<long>()).ToArray();
        var last = incremental.Feed(ids);
        Assert.All(last.Zip(Logits(model, input)[0, 15].data<float>().ToArray()), pair => Assert.Equal(pair.Second, pair.First, 1e-4f));
    }

    [Fact]
    public void Projections_start_orthogonal_and_norms_are_one_number()
    {
        using var scope = NewDisposeScope();
        var config = Forms.Config(ModelFamily.Llama);
        using var model = Decoder.Fresh(config, 7, map: new WeightMap(config, Form, 7));
        foreach (var name in new[] { WeightMap.EmbeddingProjection, WeightMap.HeadProjection })
        {
            var p = model.Parameters.Value(name);
            Assert.True((p.matmul(p.t()) - eye(64)).abs().max().item<float>() < 1e-5);
            Assert.Equal(EntryKind.Matrix, model.Parameters.Layout[name].Kind);
        }
        Assert.All(model.Parameters.Layout.Entries.Where(entry => !entry.Decays), entry => Assert.Equal(1, entry.Length));
        Assert.Equal(2, model.Parameters.Layout.Entries.Count(entry => entry.Kind == EntryKind.Table));
        Assert.False((model.Parameters.Value(WeightMap.EmbeddingProjection) - model.Parameters.Value(WeightMap.HeadProjection)).abs().max().item<float>() < 0.01);
    }

    [Fact]
    public void Impossible_forms_are_refused()
    {
        Assert.Throws<PerennialException>(() => new WeightMap(Forms.Config(ModelFamily.Gpt2), Form, 1));
        Assert.Throws<PerennialException>(() => new WeightMap(Forms.Config(ModelFamily.Llama) with { TiedHead = true }, Form, 1));
        var config = Forms.Config(ModelFamily.Llama);
        using var model = Trained(config);
        using var plain = Decoder.Fresh(config, 1);
        Assert.Throws<PerennialException>(() => WeightStart.Take(model.Map!, model.Parameters, plain.Parameters.Values, 1, "here"));
    }

    private static Tensor Logits(Decoder model, ModelInput input) => model.Hidden(input).matmul(model.HeadWeight().t());
}
