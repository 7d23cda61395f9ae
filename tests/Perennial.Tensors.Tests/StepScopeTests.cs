using static TorchSharp.torch;

namespace Perennial.Tensors.Tests;

/// <summary>Alone, because one test weighs the memory of the whole process.</summary>
[CollectionDefinition("alone", DisableParallelization = true)]
public sealed class Alone;

[Collection("alone")]
public class StepScopeTests
{
    [Fact]
    public void A_step_disposes_what_it_made_and_keeps_what_it_was_told_to()
    {
        Tensor kept, owned, lost;
        using (var outer = new StepScope())
        {
            using (var step = new StepScope())
            {
                lost = ones(4);
                kept = step.Keep(lost + 1);
                owned = step.Own(lost + 2);
                Assert.Equal(3, step.Live);
            }
            Assert.True(lost.IsInvalid);
            Assert.False(kept.IsInvalid);
            Assert.Equal(2, outer.Live);
        }
        Assert.True(kept.IsInvalid);
        Assert.Equal(3f, owned[0].item<float>());
        owned.Dispose();
    }

    [Fact]
    public void A_leak_is_found_and_counted()
    {
        var leaked = new List<Tensor>();
        var error = Assert.Throws<InvalidOperationException>(() => TensorCensus.AssertNoGrowth(() =>
        {
            using var step = new StepScope();
            leaked.Add(step.Own(ones(1)));
            leaked.Add(step.Own(ones(1)));
        }, 5));
        Assert.Contains("10 tensors", error.Message);
        foreach (var tensor in leaked) tensor.Dispose();
    }

    [Fact]
    public void A_training_step_with_gradients_leaves_nothing_behind()
    {
        using var parameters = new FlatParameters(FlatLayout.Of([("weight", [64, 64], true)]));
        var (first, second, count) = (zeros(4096), zeros(4096), ones(1));
        TensorCensus.AssertNoNativeGrowth(() =>
        {
            using var step = new StepScope();
            var weight = parameters.Value("weight").detach().requires_grad_();
            var loss = FusedOperators.RmsNorm(randn(8, 64).matmul(weight), null, 1e-5).square().mean();
            loss.backward();
            parameters.Gradient("weight").copy_(weight.grad!);
            FusedOperators.AdamW(parameters.Values, parameters.Gradients, first, second, count, 1e-3, 0.9, 0.95, 1e-8, 0.1);
        }, repetitions: 500, allowance: 4 << 20);
        foreach (var tensor in (ReadOnlySpan<Tensor>)[first, second, count]) tensor.Dispose();
    }

    [Fact]
    public void Native_memory_that_no_handle_shows_is_found()
    {
        if (TensorCensus.Take().NativeBytes is null) return;
        var hidden = new List<nint>();
        try
        {
            Assert.Throws<InvalidOperationException>(() => TensorCensus.AssertNoNativeGrowth(
                () => hidden.Add(System.Runtime.InteropServices.Marshal.AllocHGlobal(100_000)), repetitions: 100, allowance: 4 << 20));
        }
        finally
        {
            hidden.ForEach(System.Runtime.InteropServices.Marshal.FreeHGlobal);
        }
    }
}
