using Perennial.Core;
using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Models.Tests.Parameterizations;

public class WeightMapTests
{
    public WeightMapTests() => TorchRuntime.Initialize();

    [Theory]
    [InlineData("lora", ModelFamily.Llama)]
    [InlineData("low-rank", ModelFamily.Qwen2)]
    [InlineData("sltrain", ModelFamily.Gpt2)]
    [InlineData("mlp-only", ModelFamily.Llama)]
    public void Merged_weights_are_the_same_function(string form, ModelFamily family)
    {
        using var scope = NewDisposeScope();
        var config = Forms.Config(family);
        using var model = Decoder.Fresh(config, 7, map: new WeightMap(config, Forms.Of(form), 7));
        using (no_grad()) model.Parameters.Values.add_(randn(model.Parameters.Layout.Length, generator: new Generator(3)) * 0.02);
        model.ParametersChanged();
        using var plain = Plain(model);
        Assert.True(Difference(model, plain) < 1e-5);
    }

    [Fact]
    public void Densified_sparse_weights_give_the_same_bits()
    {
        using var scope = NewDisposeScope();
        var config = Forms.Config(ModelFamily.Llama);
        using var model = Decoder.Fresh(config, 7, map: new WeightMap(config, Forms.Of("sparse"), 7));
        using var plain = Plain(model);
        Assert.Equal(0, Difference(model, plain));
        foreach (var matrix in model.Map!.Matrices)
        {
            using var view = plain.Parameters.Value(matrix.Plain.Name);
            Assert.Equal((long)Math.Floor(0.25 * matrix.Plain.Length), view.count_nonzero(null).item<long>());
        }
    }

    [Fact]
    public void Lora_starts_as_the_plain_decoder_of_its_seed()
    {
        using var scope = NewDisposeScope();
        var config = Forms.Config(ModelFamily.Llama);
        using var model = Decoder.Fresh(config, 7, map: new WeightMap(config, Forms.Of("lora"), 7));
        using var plain = Decoder.Fresh(config, 7);
        foreach (var entry in plain.Parameters.Layout.Entries)
            Assert.Equal(0, (model.Map!.Merge(entry, model.Parameters.Values, model.Map.Frozen) - plain.Parameters.Value(entry.Name)).abs().max().item<float>());
    }

    [Fact]
    public void Sparse_training_goes_on_from_its_own_mask_alone()
    {
        using var scope = NewDisposeScope();
        var config = Forms.Config(ModelFamily.Llama);
        using var model = Decoder.Fresh(config, 7, map: new WeightMap(config, Forms.Of("sparse"), 7));
        using var plain = Plain(model);
        using var again = new Decoder(config, map: new WeightMap(config, Forms.Of("sparse"), 7));
        WeightStart.Take(again.Map!, again.Parameters, plain.Parameters.Values, 99, "here");
        Assert.Equal(0, (again.Parameters.Values - model.Parameters.Values).abs().max().item<float>());
        using var other = new Decoder(config, map: new WeightMap(config, Forms.Of("sparse"), 8));
        Assert.Contains("support-seed", Assert.Throws<PerennialException>(() => WeightStart.Take(other.Map!, other.Parameters, plain.Parameters.Values, 99, "here")).Message, StringComparison.Ordinal);
        using var factors = new Decoder(config, map: new WeightMap(config, Forms.Of("low-rank"), 8));
        Assert.Throws<PerennialException>(() => WeightStart.Take(factors.Map!, factors.Parameters, plain.Parameters.Values, 99, "here"));
    }

    [Fact]
    public void Refactorization_balances_the_factors_and_keeps_their_product()
    {
        using var scope = NewDisposeScope();
        var config = Forms.Config(ModelFamily.Gpt2);
        var form = Forms.Of("low-rank") with { Restarts = new RestartOptions { Every = 2, Refactorize = true } };
        using var model = Decoder.Fresh(config, 7, map: new WeightMap(config, form, 7));
        using var before = Plain(model);
        WeightRestart.Apply(model.Map!, model.Parameters, 7, 2);
        model.ParametersChanged();
        Assert.True(Difference(model, before) < 1e-5);
        foreach (var matrix in model.Map!.Matrices)
        {
            var (a, b) = (model.Parameters.Value(matrix.A!.Name), model.Parameters.Value(matrix.B!.Name));
            var sigma = b.t().matmul(b);
            Assert.True((sigma - a.matmul(a.t())).norm().item<float>() <= 1e-4 * sigma.norm().item<float>());
        }
    }

    [Fact]
    public void A_merge_moves_the_product_and_begins_anew()
    {
        using var scope = NewDisposeScope();
        var config = Forms.Config(ModelFamily.Llama);
        var form = new ReloraParameterization(new ReloraOptions { Rank = 4, Every = 10, Recover = 2 }).Form;
        using var model = Decoder.Fresh(config, 7, map: new WeightMap(config, form, 7));
        using (no_grad()) model.Parameters.Values.add_(randn(model.Parameters.Layout.Length, generator: new Generator(3)) * 0.02);
        using var before = Plain(model);
        var a = model.Parameters.Value(model.Map!.Matrices.First().A!.Name).clone();
        WeightRestart.Apply(model.Map, model.Parameters, 7, 10);
        model.ParametersChanged();
        Assert.True(Difference(model, before) < 1e-5);
        Assert.All(model.Map.Matrices, matrix => Assert.Equal(0f, model.Parameters.Value(matrix.B!.Name).abs().max().item<float>()));
        Assert.NotEqual(0f, (a - model.Parameters.Value(model.Map.Matrices.First().A!.Name)).abs().max().item<float>());
    }

    [Fact]
    public void The_ramp_after_a_restart_is_the_published_one()
    {
        // Warm-up 100 of 1,000 steps, cosine to a tenth, restarts every 200 steps, 10 steps back (Glentis et al. 2025, their scheduler).
        static double Cosine(long step) => step < 100 ? step / 100.0 : 0.1 + 0.45 * (1 + Math.Cos(Math.PI * (step - 100) / 900.0));
        var plan = new RestartOptions { Every = 200, Recover = 10 };
        foreach (var (step, expected) in new[] { (199, 0.973396), (200, 0.000967), (205, 0.537781), (209, 0.967233), (210, 0.967233), (600, 0.000456), (609, 0.456440), (610, 0.456440) })
            Assert.Equal(expected, plan.Ramp(step, Cosine), 1e-6);
        Assert.False(plan.IsDue(0));
        Assert.True(plan.IsDue(400));
    }

    [Fact]
    public void Supports_are_exact_sorted_keyed_and_spread_evenly()
    {
        var support = SparseSupport.Draw(50, 40, 0.05, 1, 2);
        Assert.Equal(100, support.Count);
        Assert.Equal(support.Positions.Order().Distinct(), support.Positions);
        Assert.All(Enumerable.Range(0, 50), row => Assert.All(support.Positions[support.Starts[row]..support.Starts[row + 1]], position => Assert.Equal(row, position / 40)));
        Assert.Equal(support.Positions, SparseSupport.Draw(50, 40, 0.05, 1, 2).Positions);
        Assert.NotEqual(support.Positions, SparseSupport.Draw(50, 40, 0.05, 2, 2).Positions);
        Assert.NotEqual(support.Positions, SparseSupport.Draw(50, 40, 0.05, 1, 3).Positions);
        Assert.Equal(2000, SparseSupport.Draw(50, 40, 1, 1, 2).Count);
        Assert.Throws<PerennialException>(() => SparseSupport.Draw(3, 3, 0.05, 1, 2));
        // 2,000 draws of 4 of 20 places: each place is expected 400 times, with deviation 18.
        var counts = new int[20];
        for (var seed = 0UL; seed < 2000; seed++)
            foreach (var position in SparseSupport.Draw(4, 5, 0.2, seed, 0).Positions) counts[position]++;
        Assert.All(counts, count => Assert.InRange(count, 320, 480));
    }

    private static Decoder Plain(Decoder model)
    {
        var plain = new Decoder(model.Config);
        using var _ = no_grad();
        foreach (var entry in plain.Parameters.Layout.Entries)
        {
            using var merged = model.Map!.Merge(entry, model.Parameters.Values, model.Map.Frozen);
            using var view = plain.Parameters.Value(entry.Name);
            view.copy_(merged);
        }
        plain.ParametersChanged();
        return plain;
    }

    private static float Difference(Decoder a, Decoder b)
    {
        using var _ = no_grad();
        var input = new ModelInput(randint(0, 67, [3, 16], dtype: ScalarType.Int64, generator: new Generator(5)), null);
        return (a.Hidden(input) - b.Hidden(input)).abs().max().item<float>();
    }
}
