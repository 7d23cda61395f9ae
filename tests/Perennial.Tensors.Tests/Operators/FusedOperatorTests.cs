using TorchSharp;
using static TorchSharp.torch;

namespace Perennial.Tensors.Tests.Operators;

public class FusedOperatorTests
{
    [Theory]
    [InlineData(ScalarType.Float32, 2e-6)]
    [InlineData(ScalarType.BFloat16, 2e-2)]
    public void RmsNorm_equals_the_composed_one(ScalarType type, double tolerance)
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(3);
        var x = randn(4, 7, 33, generator: generator).to_type(type);
        var w = (1 + 0.1 * randn(33, generator: generator)).to_type(type);
        var wide = x.to_type(ScalarType.Float32);
        var composed = wide * (wide.square().mean([-1], keepdim: true) + 1e-5).rsqrt() * w.to_type(ScalarType.Float32);
        var fused = FusedOperators.RmsNorm(x, w, 1e-5);
        Assert.Equal(type, fused.dtype);
        Assert.True((fused.to_type(ScalarType.Float32) - composed).abs().max().item<float>() < tolerance);
        Assert.True((FusedOperators.RmsNorm(x, null, 1e-5) * w - fused).abs().max().to_type(ScalarType.Float32).item<float>() <= tolerance);
    }

    [Fact]
    public void RmsNorm_has_the_composed_gradients()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(5);
        var start = randn(6, 24, generator: generator);
        var scale = 1 + 0.1 * randn(24, generator: generator);
        var weightOfLoss = randn(6, 24, generator: generator);

        (Tensor Input, Tensor Weight) Gradients(Func<Tensor, Tensor, Tensor> norm)
        {
            var x = start.clone().requires_grad_();
            var w = scale.clone().requires_grad_();
            (norm(x, w) * weightOfLoss).sum().backward();
            return (x.grad!, w.grad!);
        }

        var fused = Gradients((x, w) => FusedOperators.RmsNorm(x, w, 1e-6));
        var composed = Gradients((x, w) => x * (x.square().mean([-1], keepdim: true) + 1e-6).rsqrt() * w);
        Assert.True((fused.Input - composed.Input).abs().max().item<float>() < 1e-5);
        Assert.True((fused.Weight - composed.Weight).abs().max().item<float>() < 1e-5);
    }

    [Fact]
    public void AdamW_equals_TorchSharp_over_many_steps()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(7);
        var start = randn(1000, generator: generator);
        var reference = new TorchSharp.Modules.Parameter(start.clone());
        var optimizer = optim.AdamW([reference], lr: 1e-2, beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.1);
        var (values, first, second, step) = (start.clone(), zeros(1000), zeros(1000), zeros(1));
        for (var t = 1; t <= 20; t++)
        {
            var gradient = randn(1000, generator: generator);
            reference.grad = gradient.clone();
            optimizer.step();
            step.fill_(t);
            FusedOperators.AdamW(values, gradient, first, second, step, 1e-2, 0.9, 0.95, 1e-8, 0.1);
            Assert.Equal(t, step.item<float>());
        }
        Assert.True((values - reference).abs().max().item<float>() < 1e-5);
        Assert.True((values - start).abs().max().item<float>() > 0.01);
    }

    [Fact]
    public void AdamW_writes_a_slice_of_a_flat_buffer_in_place()
    {
        using var scope = NewDisposeScope();
        var (values, gradients, first, second) = (ones(10), ones(10), zeros(10), zeros(10));
        FusedOperators.AdamW(values.narrow(0, 4, 3), gradients.narrow(0, 4, 3), first.narrow(0, 4, 3), second.narrow(0, 4, 3), ones(1), 0.5, 0.9, 0.95, 1e-8, 0);
        Assert.Equal([1f, 1f, 1f, 1f, 0.5f, 0.5f, 0.5f, 1f, 1f, 1f], values.data<float>().ToArray());
    }

    [Fact]
    public void Calls_leave_no_native_tensors_behind()
    {
        using var scope = NewDisposeScope();
        var (x, w) = (randn(64, 128), ones(128));
        TensorCensus.AssertNoGrowth(() => FusedOperators.RmsNorm(x, w, 1e-5).Dispose(), repetitions: 100);
    }

    [Fact]
    public void What_libtorch_refuses_is_an_exception_that_names_the_operator()
    {
        using var scope = NewDisposeScope();
        var error = Assert.Throws<OperatorException>(() => Dispatcher.Call(new Operator("aten::there_is_none", "", 1, 1), ones(1)));
        Assert.Contains("aten::there_is_none", error.Message);
    }

    [Fact]
    public void Shapes_that_do_not_fit_never_reach_libtorch()
    {
        using var scope = NewDisposeScope();
        Assert.Throws<ArgumentException>(() => FusedOperators.RmsNorm(ones(2, 3), ones(4), 1e-5));
        Assert.Throws<ArgumentException>(() => FusedOperators.AdamW(ones(3), ones(3), ones(4), ones(3), ones(1), 1, 0, 0, 1, 0));
    }

    [Fact]
    public void A_wrong_number_of_arguments_never_reaches_libtorch()
    {
        var op = new Operator("aten::mul", "Tensor", 2, 1);
        using var x = ones(1);
        Assert.Throws<ArgumentException>(() => Dispatcher.Call(op, x));
        Assert.Throws<ArgumentException>(() => Dispatcher.Run(op, x, x));
    }

    [Fact]
    public void Overloads_lists_and_several_results_pass()
    {
        using var scope = NewDisposeScope();
        Assert.Equal(6f, Dispatcher.Call(new Operator("aten::mul", "Tensor", 2, 1), full(1, 2f), full(1, 3f)).item<float>());
        Assert.Equal(5, Dispatcher.Call(new Operator("aten::cat", "", 2, 1), Argument.List([ones(2), ones(3)]), 0L).shape[0]);
        var parts = Dispatcher.CallMany(new Operator("aten::max", "dim", 3, 2), tensor(new[,] { { 1f, 5f }, { 7f, 2f } }), 1L, false);
        Assert.Equal([5f, 7f], parts[0].data<float>().ToArray());
        Assert.Equal([1L, 0L], parts[1].data<long>().ToArray());
    }
}
