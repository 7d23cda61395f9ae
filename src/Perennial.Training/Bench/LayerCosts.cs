using Perennial.Models;
using Perennial.Tensors;

namespace Perennial.Training.Bench;

/// <summary>
/// What the layers of a decoder cost on this machine, forward and backward: a block by the difference of two depths, the embedding and the head by
/// what depth 1 costs beyond its block. What planners and <c>simulate</c> take as <c>layer-costs</c>.
/// </summary>
/// <param name="Block">Seconds of one block, a sample.</param>
/// <param name="Ends">Seconds of embedding, last norm, head and loss together, a sample.</param>
public sealed record LayerCosts(double Block, double Ends)
{
    private const int Shallow = 1, Deep = 5;

    /// <summary>Relative costs of a decoder with this many blocks: the ends stand with the last block.</summary>
    public IReadOnlyList<double> Of(int layers) => [.. Enumerable.Repeat(1.0, layers - 1), Math.Round(1 + Ends / Block, 3)];

    /// <summary>Times the two depths in alternation; the least of each counts.</summary>
    /// <param name="config">The decoder; its depth is not used.</param>
    /// <param name="rows">Samples at one time.</param>
    /// <param name="repetitions">Timed passes of each depth.</param>
    public static LayerCosts Measure(DecoderConfig config, int rows, int repetitions = 15)
    {
        ArgumentNullException.ThrowIfNull(config);
        using var shallow = new FusedStep(new BenchShape("shallow", config with { Layers = Shallow }, rows, rows, config.Context), Precision.Float32);
        using var deep = new FusedStep(new BenchShape("deep", config with { Layers = Deep }, rows, rows, config.Context), Precision.Float32);
        var (least, most) = (double.PositiveInfinity, double.PositiveInfinity);
        for (var turn = 0; turn < repetitions + 2; turn++)
        {
            var (one, five) = (shallow.Run(turn + 1), deep.Run(turn + 1));
            if (turn < 2) continue;
            (least, most) = (Math.Min(least, one.Forward + one.Backward), Math.Min(most, five.Forward + five.Backward));
        }
        var block = (most - least) / (Deep - Shallow) / rows;
        return new(block, Math.Max(0, least / rows - Shallow * block));
    }
}
