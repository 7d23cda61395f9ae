namespace Perennial.Resilience.Partition;

/// <summary>One layer that changes its stage.</summary>
/// <param name="Layer">Index of the layer.</param>
/// <param name="From">Stage that holds it.</param>
/// <param name="To">Stage that will.</param>
/// <param name="StateBytes">Bytes that move, over all ranks.</param>
/// <param name="WeightBytes">The part that the next forward waits for.</param>
public sealed record LayerMove(int Layer, int From, int To, long StateBytes, long WeightBytes);

/// <summary>
/// Which layers move where when one cut becomes another (paper 23 §5): those whose stage changes and no others, so it is minimal. With interleaved
/// ZeRO every layer is spread over all ranks of its stage, so all links between two stages carry it together.
/// </summary>
/// <param name="Moves">Moves, by layer.</param>
public sealed record MigrationPlan(IReadOnlyList<LayerMove> Moves)
{
    /// <summary>Bytes moved in all.</summary>
    public long StateBytes => Moves.Sum(move => move.StateBytes);

    /// <summary>The moves from one cut to another of the same layers.</summary>
    /// <exception cref="ArgumentException">The cuts are of different pipelines.</exception>
    public static MigrationPlan Between(StagePartition from, StagePartition to, IReadOnlyList<LayerCost> layers)
    {
        ArgumentNullException.ThrowIfNull(from);
        ArgumentNullException.ThrowIfNull(to);
        ArgumentNullException.ThrowIfNull(layers);
        if (from.Layers != layers.Count || to.Layers != layers.Count) throw new ArgumentException($"cuts {from} and {to} are not of {layers.Count} layers");
        if (from.Equals(to)) return new([]);
        return new([.. layers.Select((layer, i) => new LayerMove(i, from.StageOf(i), to.StageOf(i), layer.StateBytes, layer.WeightBytes)).Where(move => move.From != move.To)]);
    }

    /// <summary>
    /// Seconds that training waits. Blocking: all state; otherwise the weights only, while the rest streams beside the next step. Each pair of stages
    /// moves over min(D_A, D_B) links at once, and different pairs do not share links.
    /// </summary>
    /// <param name="live">Live ranks of every stage.</param>
    /// <param name="bytesPerSecond">Of one link.</param>
    /// <param name="blocking">Whether optimizer state is waited for.</param>
    public double ExposedSeconds(IReadOnlyList<int> live, double bytesPerSecond, bool blocking)
    {
        ArgumentNullException.ThrowIfNull(live);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(bytesPerSecond);
        return Moves.GroupBy(move => (move.From, move.To))
            .Select(pair => pair.Sum(move => blocking ? move.StateBytes : move.WeightBytes) / (Math.Min(live[pair.Key.From], live[pair.Key.To]) * bytesPerSecond))
            .DefaultIfEmpty(0).Max();
    }

    /// <summary>Whether the moves pay: (T_old − T_new)·(steps until the next change) above their cost (§2).</summary>
    /// <param name="oldStepSeconds">Step time without the moves.</param>
    /// <param name="newStepSeconds">Step time with them.</param>
    /// <param name="expectedSteps">Steps until the next change is expected.</param>
    /// <param name="costSeconds">What the moves cost.</param>
    public static bool Pays(double oldStepSeconds, double newStepSeconds, double expectedSteps, double costSeconds) =>
        (oldStepSeconds - newStepSeconds) * expectedSteps > costSeconds;
}
