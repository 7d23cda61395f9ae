using Perennial.Core;

namespace Perennial.Data.Mixtures;

/// <summary>The sources' own weights, all along the run.</summary>
/// <param name="context">The sources.</param>
[Component("weighted")]
public sealed class WeightedMixture(MixtureContext context) : IMixture
{
    /// <inheritdoc/>
    public IReadOnlyList<double> Weights(MixtureMoment moment, IReadOnlyList<double>? losses) => [.. context.Sources.Select(source => source.Weight)];
}
