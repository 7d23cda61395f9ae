using System.ComponentModel.DataAnnotations;
using Perennial.Core;

namespace Perennial.Data.Mixtures;

/// <summary>Options of <see cref="TemperatureMixture"/>.</summary>
public sealed record TemperatureMixtureOptions
{
    /// <summary>T: 1 keeps the sources' sizes as shares, larger values draw them together (3.33 is mT5's, 5 that of multilingual BERT's kin).</summary>
    [Range(1.0, 1e6)]
    public double Temperature { get; init; } = 3.33;
}

/// <summary>Shares by size, flattened: p_i ∝ w_i · n_i^(1/T), n_i the windows of source i and w_i its weight (Conneau et al. 2019; Xue et al. 2020, mT5).</summary>
/// <param name="options">T.</param>
/// <param name="context">The sources.</param>
[Component("temperature")]
public sealed class TemperatureMixture(TemperatureMixtureOptions options, MixtureContext context) : IMixture
{
    /// <inheritdoc/>
    public IReadOnlyList<double> Weights(MixtureMoment moment, IReadOnlyList<double>? losses) =>
        Simplex.Normalize(context.Sources.Select(source => source.Windows <= 0 ? 0 : source.Weight * Math.Pow(source.Windows, 1 / options.Temperature)));
}
