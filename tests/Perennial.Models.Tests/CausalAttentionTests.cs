using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Models.Tests;

public unsafe class CausalAttentionTests
{
    [Theory]
    [InlineData(2, 16, 4, 4, 16, false)]
    [InlineData(1, 50, 4, 2, 32, false)]
    [InlineData(2, 97, 6, 2, 16, true)]
    [InlineData(1, 1, 2, 1, 64, false)]
    [InlineData(1, 256, 2, 2, 32, true)]
    public void Outputs_and_gradients_equal_libtorch(int batch, int time, int heads, int keyHeads, int width, bool segmented)
    {
        using var scope = NewDisposeScope();
        var shape = new AttentionShape(batch, time, heads, keyHeads, width);
        manual_seed(time);
        var qkv = randn(batch, time, shape.Stride).requires_grad_();
        var ids = arange(time).div(9, RoundingMode.floor).to_type(ScalarType.Int64).expand(batch, time);
        var starts = Enumerable.Range(0, batch * time).Select(i => i % time / 9 * 9).ToArray();
        var outputGradient = randn(batch, time, heads * width);

        var q = qkv.narrow(2, 0, heads * width).view(batch, time, heads, width).transpose(1, 2);
        var k = qkv.narrow(2, heads * width, keyHeads * width).view(batch, time, keyHeads, width).transpose(1, 2).repeat_interleave(shape.Group, 1);
        var v = qkv.narrow(2, (heads + keyHeads) * width, keyHeads * width).view(batch, time, keyHeads, width).transpose(1, 2).repeat_interleave(shape.Group, 1);
        var mask = segmented ? PlainDecoder.SegmentMask(ids) : null;
        var expected = nn.functional.scaled_dot_product_attention(q, k, v, mask, 0, mask is null).transpose(1, 2).reshape(batch, time, heads * width);
        expected.backward([outputGradient]);

        Tensor output = empty_like(outputGradient), logarithms = empty(batch, heads, time), gradient = empty(qkv.shape);
        fixed (int* documents = starts)
        {
            var begin = segmented ? documents : null;
            CausalAttention<Float32Storage>.Forward(shape, At(qkv), begin, At(output), (float*)At(logarithms));
            CausalAttention<Float32Storage>.Backward(shape, At(qkv), begin, (float*)At(logarithms), At(outputGradient), At(gradient));
        }
        Assert.True((output - expected).abs().max().item<float>() < 5e-6);
        Assert.True((gradient - qkv.grad!).abs().max().item<float>() < 2e-5);
    }

    private static void* At(Tensor tensor) => (void*)TensorMemory.Address<float>(tensor);
}
