using System.ComponentModel.DataAnnotations;
using System.Text.Json.Nodes;
using Perennial.Core;
using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Training.Practices;

/// <summary>Options of <see cref="GradientAlignment"/>.</summary>
public sealed record GradientAlignmentOptions
{
    /// <summary>Pairs of batches.</summary>
    [Range(1, 100_000)]
    public int Pairs { get; init; } = 50;

    /// <summary>Windows a batch.</summary>
    [Range(1, 100_000)]
    public int Rows { get; init; } = 4;
}

/// <summary>Tells at the end of every stage but the first how far gradients of old and new text agree: the mean cosine over pairs of an earlier stages' batch and one of this stage (Abbes et al. 2025, arXiv 2508.01908). Changes nothing.</summary>
[Component("gradient-alignment")]
public sealed class GradientAlignment(GradientAlignmentOptions options, FlatParameters parameters) : Practice
{
    private const ulong Draws = 3UL << 40;
    private readonly SeenPositions seen = new(balanced: true);

    /// <inheritdoc/>
    public override JsonObject? Save() => seen.Save();

    /// <inheritdoc/>
    public override void Load(JsonObject state) => seen.Load(state);

    /// <inheritdoc/>
    public override void Committed(PracticeContext context, long position, IReadOnlyList<long> samples)
    {
        ArgumentNullException.ThrowIfNull(context);
        seen.Add(context.Stage.Index, position, samples);
    }

    /// <inheritdoc/>
    public override void AtInterval(PracticeContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        if (context.Stage.Step < context.Stage.Steps || !seen.HasAny(context.Stage.Index)) return;
        var (read, sum) = (context.Stage.Cursor, 0.0);
        using var scope = NewDisposeScope();
        for (var pair = 0; pair < options.Pairs; pair++)
        {
            using var step = NewDisposeScope();
            var draws = Enumerable.Range(0, options.Rows).Select(row => Philox.Uniform(context.Seed, RandomPurpose.Practice, (ulong)pair, Draws | (uint)row)).ToList();
            context.Services.Backward(context.Services.ReadSamples(seen.Draw(context.Stage.Index, draws, context.Services)));
            using var _ = no_grad();
            var old = parameters.Gradients.to_type(ScalarType.Float64);
            using (enable_grad()) context.Services.Backward(context.Services.ReadStage(Math.Max(0, pair * (read - options.Rows) / options.Pairs), options.Rows));
            var fresh = parameters.Gradients.to_type(ScalarType.Float64);
            sum += old.dot(fresh).item<double>() / Math.Sqrt(old.dot(old).item<double>() * fresh.dot(fresh).item<double>());
        }
        context.Services.Measure("gradient-alignment", new Dictionary<string, double> { ["cosine"] = sum / options.Pairs });
    }
}
