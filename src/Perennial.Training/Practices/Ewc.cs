using System.ComponentModel.DataAnnotations;
using Perennial.Core;
using Perennial.Tensors;
using Perennial.Training.Loop;
using static TorchSharp.torch;

namespace Perennial.Training.Practices;

/// <summary>Options of <see cref="Ewc"/>.</summary>
public sealed record EwcOptions
{
    /// <summary>λ. Importance is in squared nats a token; keep λ · Ω · rate below 2, or the penalty itself oscillates.</summary>
    [Range(0.0, double.MaxValue)]
    public double Strength { get; init; } = 100;

    /// <summary>Windows of a finished stage that its Fisher information is taken from, spread evenly over what it read.</summary>
    [Range(1, 1_000_000)]
    public int Samples { get; init; } = 64;

    /// <summary>γ: what is left of earlier importance when a stage ends; 1 adds stages up.</summary>
    [Range(0.0, 1.0)]
    public double Keep { get; init; } = 1;
}

/// <summary>Elastic weight consolidation: holds every weight as firmly as the text of finished stages determines it (Kirkpatrick et al. 2017; online form of Schwarz et al. 2018).</summary>
/// <remarks>When a stage ends: Ω ← γΩ + F, θ* ← θ, with F = mean over windows of T·ḡ², ḡ being the gradient of a window's mean loss over T targets: the diagonal of the empirical Fisher information of a token, score terms taken as independent. Gradient: λΩ(θ − θ*).</remarks>
[Component("ewc")]
public sealed class Ewc : Practice
{
    private readonly EwcOptions options;
    private readonly ImportancePenalty penalty;

    /// <summary>Nothing is held before the first stage ends.</summary>
    public Ewc(EwcOptions options, FlatParameters parameters)
    {
        (this.options, penalty) = (options, new ImportancePenalty(parameters));
    }

    /// <inheritdoc/>
    public override IReadOnlyList<StateSlot> Slots => penalty.Slots("ewc");

    /// <inheritdoc/>
    public override void AfterBackward(PracticeContext context) => penalty.AddGradient(options.Strength);

    /// <inheritdoc/>
    public override void StageEnded(PracticeContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        using var _ = no_grad();
        penalty.Importance.mul_(options.Keep);
        var (count, read) = (Math.Min(options.Samples, context.Stage.Cursor), context.Stage.Cursor);
        for (var i = 0L; i < count; i++)
        {
            var window = context.Services.ReadStage(i * read / count, 1);
            using (enable_grad()) context.Services.Backward(window);
            var targets = window.Targets.LongCount(target => target >= 0);
            penalty.Importance.addcmul_(context.Model.Parameters.Gradients, context.Model.Parameters.Gradients, (double)targets / count);
        }
        penalty.Anchor.copy_(context.Model.Parameters.Values);
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        penalty.Dispose();
        base.Dispose();
    }
}
