using static TorchSharp.torch;

namespace Perennial.Models;

/// <summary>One forward pass as autograd sees it.</summary>
internal sealed record HiddenCall(IDecoderGraph Graph, SequenceShape Shape, Tensor Ids, StageInput? Input);

/// <summary>
/// The whole decoder as one autograd node. Its only differentiable input is an anchor, a scalar that makes autograd call
/// backward; the parameters' gradients go to the flat buffer and not through autograd.
/// </summary>
internal sealed class HiddenFunction : autograd.SingleTensorFunction<HiddenFunction>
{
    private const string Kept = "kept";

    public override string Name => nameof(HiddenFunction);

    public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
    {
        var call = (HiddenCall)vars[1];
        var kept = new KeptForBackward();
        ctx.save_data(Kept, kept);
        ctx.save_data(nameof(HiddenCall), call);
        return call.Graph.Forward(call.Shape, call.Ids, call.Input, kept);
    }

    public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output)
    {
        var kept = (KeptForBackward)ctx.get_data(Kept);
        var call = (HiddenCall)ctx.get_data(nameof(HiddenCall));
        call.Graph.Backward(kept, grad_output, call.Input);
        grad_output.Dispose();
        return [null!, null!];
    }
}
