using Perennial.Core;

namespace Perennial.Data.Mixtures;

/// <summary>What weights must be.</summary>
internal static class MixtureWeights
{
    public const string Rule = "weights must be at least 0, and one of them above";

    public static bool Are(IReadOnlyList<double> weights) => weights.All(weight => weight >= 0 && double.IsFinite(weight)) && weights.Any(weight => weight > 0);

    /// <exception cref="PerennialException">Exit 2: not one for each source.</exception>
    public static void RequireOneEach(IReadOnlyList<double> weights, MixtureContext context, string key)
    {
        if (weights.Count != context.Sources.Count) throw PerennialException.Usage($"{key}: {weights.Count} weights for {context.Sources.Count} sources; give one for each, in the order of data.sources");
        for (var i = 0; i < weights.Count; i++)
        {
            if (weights[i] > 0 && context.Sources[i].Windows <= 0) throw PerennialException.Usage($"{key}: source '{context.Sources[i].Name}' has weight {weights[i]:G} but no window of text");
        }
    }
}
