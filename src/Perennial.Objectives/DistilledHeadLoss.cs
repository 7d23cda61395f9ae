using Perennial.Data;
using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Objectives;

/// <summary>One evaluation of the distilled head.</summary>
/// <param name="Parameters">Where the head's gradient goes.</param>
/// <param name="HeadName">The head's entry there.</param>
/// <param name="Head">The unembedding, <c>[vocabulary, width]</c>.</param>
/// <param name="Targets">Next-token ids, int64 <c>[tokens]</c>.</param>
/// <param name="Normalizer">What the summed loss is divided by.</param>
/// <param name="Share">Share of the teacher's term.</param>
/// <param name="Temperature">Of both distributions in it.</param>
/// <param name="TeacherHidden">The teacher's hidden states, float32 <c>[tokens, its width]</c>.</param>
/// <param name="TeacherHead">The teacher's unembedding, float32 <c>[vocabulary, its width]</c>.</param>
/// <param name="IsTied">Whether the embedding adds to the head's gradient too.</param>
internal sealed record DistilledHeadCall(
    FlatParameters Parameters, string HeadName, Tensor Head, Tensor Targets, double Normalizer, double Share, double Temperature, Tensor TeacherHidden, Tensor TeacherHead, bool IsTied)
{
    /// <summary>Gradient of the hidden states for a loss whose own gradient is 1.</summary>
    public Tensor? HiddenGradient { get; set; }
}

/// <summary>
/// Unembedding and distillation in one, a chunk of tokens at a time. Gradients are made in the forward pass, as <see cref="FusedHeadLoss"/>
/// makes them; the loss must be what backward is called on.
/// </summary>
internal sealed class DistilledHeadLoss : autograd.SingleTensorFunction<DistilledHeadLoss>
{
    private const long ChunkBytes = 8L << 20;

    public override string Name => nameof(DistilledHeadLoss);

    public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
    {
        var (hidden, call) = ((Tensor)vars[0], (DistilledHeadCall)vars[1]);
        ctx.save_data(nameof(DistilledHeadCall), call);
        using var noGradient = no_grad();
        using var rows = hidden.detach().reshape(-1, hidden.shape[^1]);
        if (hidden.requires_grad) call.HiddenGradient = empty_like(hidden);
        return tensor((float)Run(rows, call));
    }

    public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output)
    {
        var call = (DistilledHeadCall)ctx.get_data(nameof(DistilledHeadCall));
        if (grad_output.item<float>() != 1) throw new InvalidOperationException("a distillation loss cannot be scaled before backward: the head's gradient is made in the forward pass");
        if (!call.IsTied) call.Parameters.Written(call.HeadName);
        return [call.HiddenGradient!, null!];
    }

    /// <summary>The loss; with a place for the hidden states' gradient, that is filled and the head's added to the flat gradient.</summary>
    private static double Run(Tensor hidden, DistilledHeadCall call)
    {
        using var scope = NewDisposeScope();
        var (tokens, vocabulary, loss) = (hidden.shape[0], call.Head.shape[0], 0.0);
        var rows = Math.Max(64, ChunkBytes / (vocabulary * sizeof(float)));
        var (head, teacherHead) = (call.Head.to_type(ScalarType.Float32), call.TeacherHead);
        var headGradient = call.HiddenGradient is null ? null : call.Parameters.Gradient(call.HeadName);
        var keep = headGradient is null ? 1 : call.Parameters.GradientScale(call.HeadName);
        var hiddenGradient = call.HiddenGradient?.view(-1, hidden.shape[1]);
        for (var first = 0L; first < tokens; first += rows)
        {
            using var chunk = NewDisposeScope();
            var count = Math.Min(rows, tokens - first);
            var states = hidden.narrow(0, first, count).to_type(ScalarType.Float32);
            var targets = call.Targets.narrow(0, first, count);
            var counted = targets.ne(TokenBatch.Ignored).to_type(ScalarType.Float32).unsqueeze(1);
            var places = targets.clamp_min(0).unsqueeze(1);
            var logits = states.matmul(head.t());
            var wanted = call.TeacherHidden.narrow(0, first, count).matmul(teacherHead.t());
            var student = logits.log_softmax(1);
            var (soft, teacher) = ((logits / call.Temperature).log_softmax(1), (wanted / call.Temperature).log_softmax(1));
            var probabilities = teacher.exp();
            var plain = -student.gather(1, places);
            var distilled = (probabilities * (teacher - soft)).sum(1, keepdim: true) * (call.Temperature * call.Temperature);
            loss += ((plain * (1 - call.Share) + distilled * call.Share) * counted).sum(ScalarType.Float64).item<double>();
            if (headGradient is null) continue;
            // d plain / d logits = softmax − one-hot; d distilled / d logits = τ (softmax_τ − teacher_τ).
            var slope = student.exp().scatter_add(1, places, full_like(plain, -1)).mul_(1 - call.Share)
                .add_(soft.exp().sub_(probabilities), alpha: call.Share * call.Temperature).mul_(counted / call.Normalizer);
            hiddenGradient!.narrow(0, first, count).copy_(slope.matmul(head));
            headGradient.addmm_(slope.t(), states, keep, 1);
            keep = 1;
        }
        return loss / call.Normalizer;
    }
}
