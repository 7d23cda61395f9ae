using Perennial.Models;
using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Objectives;

/// <summary>One evaluation of the fused head: what goes in beside the hidden states, and what backward needs.</summary>
internal sealed class FusedHeadCall
{
    public required FlatParameters Parameters { get; init; }
    public required string HeadName { get; init; }
    public required Tensor Head { get; init; }
    public required Tensor Targets { get; init; }
    public required double Normalizer { get; init; }
    public required int ChunkRows { get; init; }
    public required bool Differentiate { get; init; }
    public Tensor? HiddenGradient { get; set; }
}

/// <summary>
/// Unembedding and cross-entropy in one, chunk by chunk of rows: the full logits never exist. Gradients of the hidden
/// states and of the head are computed in the forward pass while a chunk's logits are at hand, for a loss whose own
/// gradient is 1; the head's goes straight into the flat gradient.
/// </summary>
internal sealed class FusedHeadLoss : autograd.SingleTensorFunction<FusedHeadLoss>
{
    public override string Name => nameof(FusedHeadLoss);

    public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
    {
        var (hidden, call) = ((Tensor)vars[0], (FusedHeadCall)vars[1]);
        ctx.save_data(nameof(FusedHeadCall), call);
        using var scope = NewDisposeScope();
        var rows = hidden.reshape(-1, hidden.shape[^1]);
        var count = rows.shape[0];
        var gradient = call.Differentiate ? empty_like(rows) : null;
        using var headGradient = call.Differentiate ? call.Parameters.Gradient(call.HeadName) : null;
        var beta = call.Differentiate ? call.Parameters.GradientScale(call.HeadName) : 1;
        var total = zeros(1, ScalarType.Float64);
        for (var first = 0L; first < count; first += call.ChunkRows)
        {
            using var chunkScope = NewDisposeScope();
            var length = Math.Min(call.ChunkRows, count - first);
            var chunk = rows.narrow(0, first, length);
            var targets = call.Targets.narrow(0, first, length);
            var counted = targets.ne(-100);
            var logits = matmul(chunk, call.Head.t()).to_type(ScalarType.Float32);
            var normal = logits.logsumexp(-1, true);
            var index = targets.clamp_min(0).unsqueeze(1);
            var losses = (normal - logits.gather(1, index)).squeeze(1).where(counted, zeros(1));
            total.add_(losses.to_type(ScalarType.Float64).sum());
            if (gradient is null) continue;
            // d loss / d logits = (softmax − one-hot) / normalizer, 0 where the target is ignored.
            var scale = counted.to_type(ScalarType.Float32).div_(call.Normalizer).unsqueeze(1);
            var slope = logits.sub_(normal).exp_().mul_(scale).scatter_add_(1, index, -scale).to_type(hidden.dtype);
            gradient.narrow(0, first, length).copy_(matmul(slope, call.Head));
            if (hidden.dtype == ScalarType.Float32)
                headGradient!.addmm_(slope.t(), chunk, beta, 1);
            else
                headGradient!.mul_(beta).add_(matmul(slope.t(), chunk));
            beta = 1;
        }
        call.HiddenGradient = gradient?.view(hidden.shape).MoveToOuterDisposeScope();
        return total.div(call.Normalizer).to_type(ScalarType.Float32).view().MoveToOuterDisposeScope();
    }

    public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output)
    {
        var call = (FusedHeadCall)ctx.get_data(nameof(FusedHeadCall));
        return [call.HiddenGradient!, null!];
    }
}
