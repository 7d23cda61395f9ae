using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Optimization;

/// <summary>What GaLore and Fira do alike: moments of projected gradients for matrices, AdamW for the rest.</summary>
internal sealed class ProjectedMoments : IDisposable
{
    private readonly ProjectedOptions options;
    private readonly FlatParameters parameters;
    private readonly AdamMoments rest;

    /// <param name="name">Prefix of the slots' names.</param>
    /// <param name="options">Rank, gap and the like.</param>
    /// <param name="parameters">The parameters.</param>
    public ProjectedMoments(string name, ProjectedOptions options, FlatParameters parameters)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(parameters);
        (this.options, this.parameters) = (options, parameters);
        (Parts, var others) = ProjectedOptions.Split(parameters.Layout);
        Low = new LowRankMoments(name, parameters, Parts, options.Rank);
        rest = new AdamMoments(name + ".rest", parameters, others);
    }

    /// <summary>What a method does with a matrix whose basis is up to date.</summary>
    /// <param name="part">The matrix.</param>
    /// <param name="projected">Its projected gradient, a scratch.</param>
    /// <param name="gradient">Its gradient.</param>
    /// <param name="values">Its weights.</param>
    public delegate void Update(MatrixPart part, Tensor projected, Tensor gradient, Tensor values);

    /// <summary>The matrices.</summary>
    public IReadOnlyList<MatrixPart> Parts { get; }

    /// <summary>Bases and moments of matrices.</summary>
    public LowRankMoments Low { get; }

    /// <summary>Slots of everything that is no matrix.</summary>
    public IReadOnlyList<StateSlot> RestSlots => rest.Slots;

    /// <summary>One step over some entries: AdamW on what is no matrix, <paramref name="update"/> on every matrix, of which several go at once.</summary>
    public void Step(IReadOnlyList<FlatEntry> entries, long step, double rate, double gradientScale, Update update)
    {
        rest.Step(entries, options.Adam(step, options.RestRate(rate), gradientScale));
        MatrixPart.ForEach(MatrixPart.Of(entries), part =>
        {
            using var scope = NewDisposeScope();
            using var _ = no_grad();
            var (gradient, values) = (part.View(parameters.Gradients, parameters.GradientOffset(part.Entry)), part.View(parameters.Values, part.Entry.Offset));
            if (options.IsRefresh(step)) Low.Refresh(part, gradient);
            var projected = Low.Project(part, gradient);
            update(part, projected, gradient, values);
            Low.Return(projected);
        });
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Low.Dispose();
        rest.Dispose();
    }
}
