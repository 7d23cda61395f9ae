using Perennial.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Perennial.Optimization.Tests;

public class AdamWTests
{
    private static FlatParameters Parameters()
    {
        var parameters = new FlatParameters(FlatLayout.Of([("matrix", [5, 7], true), ("norm", [13], false), ("late", [3, 3], true)]));
        manual_seed(3);
        using var scope = NewDisposeScope();
        parameters.Values.copy_(randn(parameters.Layout.Length));
        return parameters;
    }

    [Fact]
    public void Follows_the_formula_in_double_and_spares_norms()
    {
        using var parameters = Parameters();
        using var optimizer = new AdamW(new AdamWOptions { Decay = 0.1, Betas = [0.9, 0.95], Epsilon = 1e-8 }, parameters);
        var expected = parameters.Values.data<float>().ToArray().Select(x => (double)x).ToArray();
        double[] m = new double[expected.Length], v = new double[expected.Length];
        for (var step = 1; step <= 20; step++)
        {
            using var scope = NewDisposeScope();
            manual_seed(100 + step);
            parameters.Gradients.copy_(randn(parameters.Layout.Length));
            var gradients = parameters.Gradients.data<float>().ToArray();
            optimizer.Step(step, 1e-2, 0.5);
            foreach (var entry in parameters.Layout.Entries)
                for (var i = (int)entry.Offset; i < entry.Offset + entry.Length; i++)
                {
                    var g = gradients[i] * 0.5;
                    m[i] = 0.9 * m[i] + 0.1 * g;
                    v[i] = 0.95 * v[i] + 0.05 * g * g;
                    if (entry.Decays) expected[i] *= 1 - 1e-2 * 0.1;
                    expected[i] -= 1e-2 * (m[i] / (1 - Math.Pow(0.9, step))) / (Math.Sqrt(v[i] / (1 - Math.Pow(0.95, step))) + 1e-8);
                }
        }
        var values = parameters.Values.data<float>().ToArray();
        Assert.All(expected.Zip(values), pair => Assert.Equal(pair.First, pair.Second, 2e-6));
        Assert.Equal(["adamw.first-moment", "adamw.second-moment"], optimizer.Slots.Select(slot => slot.Name));
    }

    [Fact]
    public void Equals_torchsharp_when_everything_decays()
    {
        using var parameters = new FlatParameters(FlatLayout.Of([("w", [40, 11], true)]));
        using var scope = NewDisposeScope();
        manual_seed(4);
        var start = randn(440);
        parameters.Values.copy_(start);
        var theirs = new TorchSharp.Modules.Parameter(start.clone());
        using var reference = optim.AdamW([theirs], 3e-3, 0.9, 0.95, 1e-8, 0.1);
        using var optimizer = new AdamW(new AdamWOptions(), parameters);
        for (var step = 1; step <= 5; step++)
        {
            var gradient = randn(440);
            parameters.Gradients.copy_(gradient);
            theirs.grad = gradient;
            optimizer.Step(step, 3e-3, 1);
            reference.step();
        }
        Assert.True((parameters.Values - theirs).abs().max().item<float>() < 1e-6);
    }

    [Fact]
    public void Sgd_with_momentum_follows_its_formula()
    {
        using var parameters = Parameters();
        using var optimizer = new Sgd(new SgdOptions { Momentum = 0.9, Decay = 0.01 }, parameters);
        var expected = parameters.Values.data<float>().ToArray().Select(x => (double)x).ToArray();
        var buffer = new double[expected.Length];
        for (var step = 1; step <= 3; step++)
        {
            using var scope = NewDisposeScope();
            parameters.Gradients.copy_(randn(parameters.Layout.Length));
            var gradients = parameters.Gradients.data<float>().ToArray();
            optimizer.Step(step, 0.1, 2);
            foreach (var entry in parameters.Layout.Entries)
                for (var i = (int)entry.Offset; i < entry.Offset + entry.Length; i++)
                {
                    buffer[i] = 0.9 * buffer[i] + 2.0 * gradients[i];
                    expected[i] = expected[i] * (entry.Decays ? 1 - 0.1 * 0.01 : 1) - 0.1 * buffer[i];
                }
        }
        Assert.All(expected.Zip(parameters.Values.data<float>().ToArray()), pair => Assert.Equal(pair.First, pair.Second, 2e-6));
    }

    [Fact]
    public void Bad_betas_are_told()
    {
        Assert.Equal("betas", Assert.Single(new AdamWOptions { Betas = [0.9] }.Problems()).Key);
        Assert.Equal("betas", Assert.Single(new AdamWOptions { Betas = [0.9, 1.0] }.Problems()).Key);
        Assert.Empty(new AdamWOptions().Problems());
    }
}
