using static TorchSharp.torch;

namespace Perennial.Objectives;

/// <summary>
/// <see cref="FusedHead"/> as autograd sees it. Gradients are made in the forward pass, for a loss whose own gradient is
/// 1, as it is when the loss is what backward is called on. For any other gradient g backward scales the hidden states'
/// gradient and adds the missing g − 1 times the head's by going over the chunks once more.
/// A loss computed with gradients enabled has already touched the head's gradient: compute values to look at under <c>no_grad</c>.
/// </summary>
internal sealed class FusedHeadLoss : autograd.SingleTensorFunction<FusedHeadLoss>
{
    public override string Name => nameof(FusedHeadLoss);

    public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
    {
        var (hidden, call) = ((Tensor)vars[0], (FusedHeadCall)vars[1]);
        ctx.save_data(nameof(FusedHeadCall), call);
        using var rows = hidden.detach().view(-1, hidden.shape[^1]);
        if (!hidden.requires_grad) return tensor((float)FusedHead.Run(rows, call, 0, null));
        call.Hidden = hidden.detach();
        call.HiddenGradient = empty_like(hidden);
        using var gradientRows = call.HiddenGradient.view(-1, hidden.shape[^1]);
        return tensor((float)FusedHead.Run(rows, call, 1, gradientRows));
    }

    public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output)
    {
        var call = (FusedHeadCall)ctx.get_data(nameof(FusedHeadCall));
        var slope = grad_output.item<float>();
        using var _ = no_grad();
        if (slope != 1)
        {
            using var rows = call.Hidden!.view(-1, call.Hidden.shape[^1]);
            FusedHead.Run(rows, call, slope - 1.0, null);
            call.HiddenGradient!.mul_(slope);
        }
        if (!call.IsTied) call.Parameters.Written(call.HeadName);
        return [call.HiddenGradient!, null!];
    }
}
