using Perennial.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Perennial.Optimization.Tests;

public class NewtonSchulzTests
{
    /// <summary>The polynomial on single singular values, five iterations: the figures of the method's description.</summary>
    [Theory]
    [InlineData(1.0, 0.6964)]
    [InlineData(0.5, 0.7654)]
    [InlineData(0.1, 0.7121)]
    [InlineData(0.01, 0.6989)]
    [InlineData(0.001, 0.4705)]
    public void Single_singular_values(double start, double end)
    {
        using var iteration = new NewtonSchulz(ScalarType.Float32);
        iteration.Input(1, 1).fill_(start);
        Assert.Equal(end, iteration.Iterate(1, 1, 5).item<float>(), 1e-4);
    }

    [Theory]
    [InlineData(128, 128)]
    [InlineData(128, 512)]
    [InlineData(512, 128)]
    public void The_update_is_as_large_as_AdamWs_whatever_the_shape(long rows, long columns)
    {
        foreach (var products in new[] { SlotPrecision.Float32, SlotPrecision.Bfloat16 })
        {
            using var parameters = new FlatParameters(FlatLayout.Of([("w", [rows, columns], true)]));
            Sample.Draw(parameters.Gradients, 5, 1);
            using var muon = new Muon(new MuonOptions { Decay = 0, Products = products }, parameters);
            muon.Step(1, 1e-3, 1);
            using var scope = NewDisposeScope();
            Assert.InRange(parameters.Values.square().mean().sqrt().item<float>() / 1e-3, 0.15, 0.22);
        }
    }

    [Fact]
    public void Full_rank_GaLore_is_AdamW_on_a_turned_gradient()
    {
        using var mine = new FlatParameters(FlatLayout.Of([("w", [9, 6], true)]));
        using var theirs = new FlatParameters(FlatLayout.Of([("w", [9, 6], true)]));
        using var galore = new GaLore(new GaLoreOptions { Rank = 99, Scale = 1, UpdateGap = 1000 }, mine);
        using var adam = new AdamW(new AdamWOptions { Betas = [0.9, 0.999], Decay = 0 }, theirs);
        Tensor? basis = null;
        for (var step = 1; step <= 4; step++)
        {
            Sample.Draw(mine.Gradients, step, 1);
            galore.Step(step, 1e-2, 1);
            basis ??= galore.Slots[0].Values.view(6, 6);
            using var scope = NewDisposeScope();
            theirs.Gradients.copy_(mine.Gradients.view(9, 6).matmul(basis).reshape(-1));
            adam.Step(step, 1e-2, 1);
        }
        using var last = NewDisposeScope();
        Assert.True((mine.Values.view(9, 6).matmul(basis!) - theirs.Values.view(9, 6)).abs().max().item<float>() < 1e-5);
    }

    [Fact]
    public void Full_rank_Fira_has_no_residual()
    {
        using var mine = new FlatParameters(FlatLayout.Of([("w", [9, 6], true)]));
        using var theirs = new FlatParameters(FlatLayout.Of([("w", [9, 6], true)]));
        using var fira = new Fira(new FiraOptions { Rank = 99 }, mine);
        using var galore = new GaLore(new GaLoreOptions { Rank = 99 }, theirs);
        for (var step = 1; step <= 3; step++)
        {
            Sample.Draw(mine.Gradients, step, 1);
            Sample.Draw(theirs.Gradients, step, 1);
            fira.Step(step, 1e-2, 1);
            galore.Step(step, 1e-2, 1);
        }
        using var scope = NewDisposeScope();
        Assert.True((mine.Values - theirs.Values).abs().max().item<float>() < 1e-6);
    }
}
