namespace Perennial.Resilience.Partition;

/// <summary>What one layer of a model costs, measured or assumed. Embedding and head are layers with their own costs.</summary>
/// <param name="Seconds">c_l: forward and backward of one sample on a rank of speed 1.</param>
/// <param name="StateBytes">w_l·κ: the layer's weights, gradients and optimizer state, shared out over the ranks of its stage.</param>
/// <param name="WeightBytes">The part of it that the next forward needs.</param>
/// <param name="ActivationBytes">Kept for the backward, per sample.</param>
public sealed record LayerCost(double Seconds, long StateBytes = 0, long WeightBytes = 0, long ActivationBytes = 0)
{
    /// <summary>Layers that cost the same.</summary>
    public static IReadOnlyList<LayerCost> Alike(int count, LayerCost layer) => [.. Enumerable.Repeat(layer, count)];
}

/// <summary>Ranks of one speed.</summary>
/// <param name="Speed">1 = nominal.</param>
/// <param name="Count">How many.</param>
public readonly record struct SpeedClass(double Speed, int Count);

/// <summary>One stage as the planner sees it: the ranks that live, and what they can hold.</summary>
/// <param name="Count">Live ranks.</param>
public sealed record StageRanks(int Count)
{
    /// <summary>Speed factor of every live rank, 1 = nominal; null when all are nominal.</summary>
    public IReadOnlyList<double>? Speeds { get; init; }

    /// <summary>The speeds of ranks that are many and of few kinds, in the place of <see cref="Speeds"/>; null where that says it.</summary>
    public IReadOnlyList<SpeedClass>? Classes { get; init; }

    /// <summary>Memory of a rank for state and activations, in bytes; null for no limit.</summary>
    public long? CapacityBytes { get; init; }

    /// <summary>comm_p: added to the stage's time for a wave.</summary>
    public double CommunicationSeconds { get; init; }

    /// <summary>Ranks with speed factors of their own.</summary>
    public static StageRanks OfSpeeds(params IReadOnlyList<double> speeds)
    {
        ArgumentNullException.ThrowIfNull(speeds);
        return new(speeds.Count) { Speeds = speeds };
    }

    /// <summary>How long the stage works on a wave, in samples of a nominal rank (max b_i/v_i), and the most samples one rank takes.</summary>
    /// <param name="samples">D·b.</param>
    /// <exception cref="ArgumentException">No rank lives, or a speed is not above 0.</exception>
    public (double Length, int Most) Slot(int samples)
    {
        if (Classes is { } classes)
        {
            var length = WaveShares.Length(samples, classes);
            return (length, classes.Max(kind => WaveShares.Within(length, kind.Speed)));
        }
        if (Speeds is null)
        {
            if (Count < 1) throw new ArgumentException("a stage needs at least one live rank");
            var most = (int)(((long)samples + Count - 1) / Count);
            return (most, most);
        }
        var split = WaveShares.Split(samples, Speeds);
        return (split.Length(Speeds), split.Counts.Max());
    }

    /// <summary>Speed of the slowest live rank: what sets the pace where every rank gets the same.</summary>
    public double Slowest => Classes?.Min(kind => kind.Speed) ?? Speeds?.Min() ?? 1;
}
