using System.Text.Json.Nodes;

namespace Perennial.Data.Mixtures;

/// <summary>Weights that hold for a stretch of positions.</summary>
/// <param name="From">First position.</param>
/// <param name="Until">Position behind the last; <see cref="long.MaxValue"/> for all further ones.</param>
/// <param name="Weights">Relative weights, <c>[sources]</c>.</param>
/// <param name="Losses">The losses they were chosen by, <c>[sources]</c>; null where none were asked for.</param>
public sealed record MixtureSegment(long From, long Until, IReadOnlyList<double> Weights, IReadOnlyList<double>? Losses = null);

/// <summary>A mixture's part of the training state: every decision so far, and what it remembers. What was decided is replayed, never decided again.</summary>
public sealed record MixtureRecord
{
    /// <summary>Stretches in order, from position 0, without gaps.</summary>
    public IReadOnlyList<MixtureSegment> Segments { get; init; } = [];

    /// <summary>The mixture's memory; null for none.</summary>
    public JsonObject? State { get; init; }
}
