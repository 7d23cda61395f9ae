using System.ComponentModel.DataAnnotations;
using Perennial.Core;

namespace Perennial.Data.Mixtures;

/// <summary>Options of <see cref="UnimaxMixture"/>.</summary>
public sealed record UnimaxMixtureOptions
{
    /// <summary>Passes that no source exceeds.</summary>
    [Range(0.01, 1e6)]
    public double Epochs { get; init; } = 4;
}

/// <summary>
/// Shares by the sources' weights (equal ones unless given), but no source is read more often than a stated number of passes; what a small
/// source cannot give, the others share (Chung et al. 2023, UniMax, algorithm 1).
/// </summary>
[Component("unimax")]
public sealed class UnimaxMixture : IMixture
{
    private readonly double[] budgets;

    /// <summary>Divides the run's samples.</summary>
    /// <exception cref="PerennialException">Exit 2: the run is longer than all sources under the cap.</exception>
    public UnimaxMixture(UnimaxMixtureOptions options, MixtureContext context)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(context);
        budgets = new double[context.Sources.Count];
        var left = (double)context.Run.Samples;
        double Cap(int i) => options.Epochs * context.Sources[i].Windows;
        // From the source that is used up soonest: when it can give its share, all later ones can.
        var open = Enumerable.Range(0, budgets.Length).Where(i => context.Sources[i].Weight > 0).OrderBy(i => Cap(i) / context.Sources[i].Weight).ToList();
        var weight = open.Sum(i => context.Sources[i].Weight);
        foreach (var i in open)
        {
            budgets[i] = Math.Min(left * context.Sources[i].Weight / weight, Cap(i));
            left -= budgets[i];
            weight -= context.Sources[i].Weight;
        }
        if (left > 0.5)
            throw PerennialException.Usage($"data.mixture: {options.Epochs:0.##} passes over all sources give {open.Sum(Cap):0} samples, but the run takes {context.Run.Samples}; raise mixture.epochs or shorten the run");
    }

    /// <inheritdoc/>
    public IReadOnlyList<double> Weights(MixtureMoment moment, IReadOnlyList<double>? losses) => Simplex.Normalize(budgets);
}
