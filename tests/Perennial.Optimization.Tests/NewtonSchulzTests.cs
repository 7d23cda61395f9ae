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
        using var iteration = new NewtonSchulz(ProductPrecision.Float32, 1, 1, 5);
        iteration.Input.fill_(start);
        Assert.Equal(end, iteration.Iterate().item<float>(), 1e-4);
    }

    /// <summary>Every form, with and without strips, against the published iteration in float64, over singular values of six decades.</summary>
    [Theory]
    [InlineData(96, 96, 1e-5)]
    [InlineData(256, 256, 1e-5)]
    [InlineData(24, 200, 2e-3)]
    [InlineData(256, 704, 2e-3)]
    [InlineData(704, 256, 2e-3)]
    [InlineData(100, 1001, 2e-3)]
    public void Every_form_is_the_published_iteration(long rows, long columns, double tolerance) =>
        Assert.InRange(Difference(ProductPrecision.Float32, rows, columns, 5, spectrum: 6), 0, tolerance);

    /// <summary>16-bit fixed point against float64: over up to three decades of singular values, and with three that are 10, 100 or 1,000 times all others.</summary>
    [Theory]
    [InlineData(96, 96, 5)]
    [InlineData(256, 256, 5)]
    [InlineData(24, 200, 5)]
    [InlineData(200, 24, 5)]
    [InlineData(256, 704, 5)]
    [InlineData(704, 256, 5)]
    [InlineData(100, 300, 9)]
    [InlineData(256, 704, 2)]
    [InlineData(7, 3, 1)]
    public void Fixed_point_is_near_it(long rows, long columns, int iterations)
    {
        foreach (var (spectrum, tolerance) in new[] { (0.0, 0.002), (1, 0.015), (2, 0.03), (3, 0.1), (-1, 0.01), (-2, 0.05), (-3, 0.3) })
        {
            var difference = Difference(ProductPrecision.Fixed16, rows, columns, iterations, spectrum);
            Assert.True(difference < tolerance, $"spectrum {spectrum}: {difference}");
        }
    }

    [Theory]
    [InlineData(96, 96)]
    [InlineData(24, 200)]
    public void Fixed_point_is_nearer_than_bfloat16(long rows, long columns)
    {
        foreach (var spectrum in new double[] { 0, 1, 2, 3, -1, -2, -3 })
            Assert.InRange(Difference(ProductPrecision.Fixed16, rows, columns, 5, spectrum), 0, Difference(ProductPrecision.Bfloat16, rows, columns, 5, spectrum));
    }

    /// <summary>Relative error in the Frobenius norm.</summary>
    /// <param name="products">What is tested.</param>
    /// <param name="rows">Rows.</param>
    /// <param name="columns">Columns.</param>
    /// <param name="iterations">Iterations.</param>
    /// <param name="spectrum">Singular values fall by so many decades; or all but three are lower by so many, where it is negative.</param>
    private static double Difference(ProductPrecision products, long rows, long columns, int iterations, double spectrum)
    {
        using var scope = NewDisposeScope();
        var (small, random) = (Math.Min(rows, columns), new Generator(5));
        var (left, _) = linalg.qr(randn(rows, small, ScalarType.Float64, generator: random));
        var (right, _) = linalg.qr(randn(columns, small, ScalarType.Float64, generator: random));
        var values = pow(10.0, -Math.Max(0, spectrum) * arange(small, ScalarType.Float64) / (small - 1));
        if (spectrum < 0) values[TensorIndex.Slice(3)] = Math.Pow(10, spectrum);
        var given = (left * values).matmul(right.t());
        using var iteration = new NewtonSchulz(products, rows, columns, iterations);
        var size = iteration.Prepare(given.norm().item<double>(), (float)given.abs().max().item<double>());
        var scaled = given * size;
        iteration.Input.narrow(1, 0, columns).narrow(0, 0, rows).copy_(products == ProductPrecision.Fixed16 ? scaled.round() : scaled);
        var x = (rows > columns ? given.t() : given) / given.norm();
        for (var i = 0; i < iterations; i++)
        {
            var a = x.matmul(x.t());
            x = 3.4445 * x + (-4.7750 * a + 2.0315 * a.matmul(a)).matmul(x);
        }
        var found = iteration.Iterate().narrow(1, 0, columns).narrow(0, 0, rows).to_type(ScalarType.Float64) * iteration.ResultScale;
        return ((rows > columns ? found.t() : found) - x).norm().item<double>() / x.norm().item<double>();
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
        foreach (var products in Enum.GetValues<ProductPrecision>())
        {
            using var parameters = new FlatParameters(FlatLayout.Of([("w", [rows, columns], true)]));
            Sample.Draw(parameters.Gradients, 5, 1);
            using var muon = new Muon(new MuonOptions { Decay = 0, Products = products }, parameters);
            muon.Step(1, 1e-3, 1);
            using var scope = NewDisposeScope();
            Assert.InRange(parameters.Values.square().mean().sqrt().item<float>() / 1e-3, 0.15, 0.22);
        }
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    public void What_is_not_finite_stays_so_in_every_precision(float gradient)
    {
        foreach (var products in Enum.GetValues<ProductPrecision>())
        {
            using var parameters = new FlatParameters(FlatLayout.Of([("w", [32, 48], true)]));
            Sample.Draw(parameters.Gradients, 5, 1);
            parameters.Gradients[7] = gradient;
            using var muon = new Muon(new MuonOptions { Products = products }, parameters);
            muon.Step(1, 1e-3, 1);
            using var scope = NewDisposeScope();
            Assert.True(parameters.Values.isnan().all().item<bool>());
        }
    }

    [Fact]
    public void A_zero_gradient_moves_nothing_in_any_precision()
    {
        foreach (var products in Enum.GetValues<ProductPrecision>())
        {
            using var parameters = new FlatParameters(FlatLayout.Of([("w", [32, 48], true)]));
            using var muon = new Muon(new MuonOptions { Products = products }, parameters);
            muon.Step(1, 1e-3, 1);
            Assert.All(parameters.Values.data<float>().ToArray(), value => Assert.Equal(0, value));
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
