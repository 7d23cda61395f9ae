using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Models.Tests.Parameterizations;

/// <summary>The hand-written layers against the composed formula in float64.</summary>
public class LayerTests
{
    [Theory]
    [InlineData("lora", ModelFamily.Llama)]
    [InlineData("lora", ModelFamily.Gpt2)]
    [InlineData("low-rank", ModelFamily.Qwen2)]
    [InlineData("low-rank", ModelFamily.Gpt2)]
    [InlineData("sltrain", ModelFamily.Llama)]
    [InlineData("sltrain", ModelFamily.Gpt2)]
    [InlineData("sparse", ModelFamily.Llama)]
    [InlineData("sparse", ModelFamily.Gpt2)]
    public void Values_and_gradients_equal_the_composed_formula_in_double(string form, ModelFamily family)
    {
        TorchRuntime.Initialize();
        using var scope = NewDisposeScope();
        var config = Forms.Config(family);
        using var map = new WeightMap(config, Forms.Of(form), 3);
        using var parameters = new FlatParameters(map.Layout);
        WeightStart.Fill(map, parameters, 5);
        // B of LoRA starts at zero, where half of the gradients vanish: test elsewhere.
        using (no_grad())
            foreach (var matrix in map.Matrices.Where(matrix => matrix.B is not null)) FlatParameters.View(parameters.Values, matrix.B!).copy_(randn([.. matrix.B!.Shape], generator: new Generator(9)) * 0.2);
        using var pool = new ActivationPool(ScalarType.Float32);
        var names = new DecoderNames(config);
        foreach (var group in Groups(family))
        {
            WeightMatrix[] matrices = [.. group.Select(projection => map.Find(names.Weight(1, projection))!)];
            string[] biases = [.. group.Select(projection => names.Bias(1, projection))];
            using var transient = map.Form.Sparse is null ? null : new TransientWeights<Float32Storage>(map);
            using ILinear<Float32Storage> layer = transient is null
                ? new LowRankLayer<Float32Storage>(parameters, parameters.Values, map, map.Frozen, matrices, biases, pool)
                : new TransientLayer<Float32Storage>(parameters, matrices, biases, transient);
            var (x, dy) = (randn(21, matrices[0].Inputs, generator: new Generator(1)), randn(21, layer.Outputs, generator: new Generator(2)));
            var (y, dx) = (empty(21, layer.Outputs), empty(21, matrices[0].Inputs));
            using (no_grad())
            {
                parameters.ClearGradients();
                layer.Forward(Active(x), Active(y));
                for (var twice = 0; twice < 2; twice++)
                {
                    layer.BackwardInput(Active(dy), Active(dx));
                    layer.BackwardWeight(Active(x), Active(dy));
                }
                parameters.CompleteGradients();
            }

            var leaves = new Dictionary<string, Tensor>();
            Tensor Leaf(string name) => leaves.TryGetValue(name, out var known) ? known
                : leaves[name] = FlatParameters.View(parameters.Values, map.Layout[name]).to_type(ScalarType.Float64).detach().requires_grad_();
            var input = x.to_type(ScalarType.Float64).requires_grad_();
            var expected = cat([.. matrices.Select(matrix => map.Apply(input, matrix, Leaf))], 1);
            (expected * dy.to_type(ScalarType.Float64)).sum().backward();
            Near(expected, y, "y");
            Near(input.grad!, dx, "dx");
            foreach (var (name, leaf) in leaves) Near(leaf.grad! * 2, parameters.Gradient(name), name);
            foreach (var bias in biases.Where(parameters.Layout.Contains)) Near(dy.sum(dim: 0) * 2, cat([.. biases.Select(parameters.Gradient)]), bias);
        }
    }

    private static IEnumerable<Projection[]> Groups(ModelFamily family) => family == ModelFamily.Gpt2
        ? [[Projection.QueryKeyValue], [Projection.AttentionOut], [Projection.Up], [Projection.Down]]
        : [[Projection.Query, Projection.Key, Projection.Value], [Projection.AttentionOut], [Projection.Gate, Projection.Up], [Projection.Down]];

    private static Activation Active(Tensor tensor) => new(tensor, TensorMemory.Address<float>(tensor));

    private static void Near(Tensor expected, Tensor measured, string what)
    {
        var error = (expected.to_type(ScalarType.Float64) - measured.to_type(ScalarType.Float64)).norm().item<double>() / expected.to_type(ScalarType.Float64).norm().item<double>();
        Assert.True(error < 2e-6, $"{what}: relative error {error}");
    }
}
