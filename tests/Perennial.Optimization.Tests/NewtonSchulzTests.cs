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
        using var iteration = new NewtonSchulz(ScalarType.Float32, 1, 1);
        iteration.Input.fill_(start);
        Assert.Equal(end, iteration.Iterate(5).item<float>(), 1e-4);
    }

    /// <summary>Both forms, with and without strips, against the published iteration in float64, over singular values of six decades.</summary>
    [Theory]
    [InlineData(96, 96, 1e-5)]
    [InlineData(256, 256, 1e-5)]
    [InlineData(24, 200, 2e-3)]
    [InlineData(256, 704, 2e-3)]
    [InlineData(704, 256, 2e-3)]
    [InlineData(100, 1001, 2e-3)]
    public void Every_form_is_the_published_iteration(long rows, long columns, double tolerance)
    {
        using var scope = NewDisposeScope();
        var (small, random) = (Math.Min(rows, columns), new Generator(5));
        var (left, _) = linalg.qr(randn(rows, small, ScalarType.Float64, generator: random));
        var (right, _) = linalg.qr(randn(columns, small, ScalarType.Float64, generator: random));
        var values = pow(10.0, -6 * arange(small, ScalarType.Float64) / (small - 1));
        var x = (left * values).matmul(right.t());
        x /= x.norm();
        using var iteration = new NewtonSchulz(ScalarType.Float32, rows, columns);
        iteration.Input.copy_(x);
        if (rows > columns) x = x.t();
        for (var i = 0; i < 5; i++)
        {
            var a = x.matmul(x.t());
            x = 3.4445 * x + (-4.7750 * a + 2.0315 * a.matmul(a)).matmul(x);
        }
        var found = iteration.Iterate(5).to_type(ScalarType.Float64);
        var error = ((rows > columns ? found.t() : found) - x).norm().item<double>() / x.norm().item<double>();
        Assert.True(error < tolerance, $"relative error {error}");
    }

    [Fact]
    public void Threads_change_no_bit()
    {
        var layout = FlatLayout.Of(Enumerable.Range(0, 5).Select(i => ($"w{i}", new long[] { 64, 64 + 40 * i }, true)));
        var found = new[] { 1, 2 }.Select(threads =>
        {
            var before = get_num_threads();
            set_num_threads(threads);
            using var parameters = new FlatParameters(layout);
            Sample.Draw(parameters.Gradients, 5, 1);
            using var muon = new Muon(new MuonOptions(), parameters);
            for (var step = 1; step <= 3; step++) muon.Step(step, 1e-3, 1);
            set_num_threads(before);
            return parameters.Values.data<float>().ToArray();
        }).ToList();
        Assert.Equal(found[0], found[1]);
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
