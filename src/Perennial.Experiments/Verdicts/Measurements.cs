using Perennial.Experiments.Papers;

namespace Perennial.Experiments.Verdicts;

/// <summary>The measured values: for each cell one a seed, in the order of <see cref="Seeds"/>, rounded as they are printed.</summary>
public sealed class Measurements
{
    private readonly Dictionary<string, double[]> values = new(StringComparer.Ordinal);

    /// <summary>Takes the values.</summary>
    /// <param name="seeds">The seeds.</param>
    /// <param name="cells">Cells in the order they are shown in, each with one value a seed.</param>
    /// <param name="rounding">How values are rounded before anything is computed from them, so that a reader can redo every step.</param>
    public Measurements(IReadOnlyList<ulong> seeds, IEnumerable<(Cell Cell, IReadOnlyList<double> Values)> cells, Rounding rounding = Rounding.FourDecimals)
    {
        ArgumentNullException.ThrowIfNull(seeds);
        ArgumentNullException.ThrowIfNull(cells);
        (Seeds, Rounding) = (seeds, rounding);
        var names = new List<Cell>();
        foreach (var (cell, measured) in cells)
        {
            if (measured.Count != seeds.Count) throw new ArgumentException($"{cell} has {measured.Count} values for {seeds.Count} seeds", nameof(cells));
            values.Add(cell.ToString(), [.. measured.Select(value => rounding.Round(value))]);
            names.Add(cell);
        }
        Cells = names;
    }

    /// <summary>The seeds.</summary>
    public IReadOnlyList<ulong> Seeds { get; }

    /// <summary>How the values were rounded.</summary>
    public Rounding Rounding { get; }

    /// <summary>The cells in order.</summary>
    public IReadOnlyList<Cell> Cells { get; }

    /// <summary>The values of a cell, by its written name.</summary>
    public IReadOnlyList<double> this[string cell] => values[cell];

    /// <summary>The cell of lowest mean (the first of equals).</summary>
    public Cell Lowest => Cells.MinBy(cell => values[cell.ToString()].Average())!;

    /// <summary>A weighted sum of cells, seed by seed.</summary>
    public IReadOnlyList<double> Contrast(IReadOnlyDictionary<string, double> weights)
    {
        ArgumentNullException.ThrowIfNull(weights);
        var lowest = weights.ContainsKey(Condition.Lowest) ? Lowest.ToString() : null;
        return [.. Enumerable.Range(0, Seeds.Count).Select(seed =>
            Rounding.Dust(weights.Sum(pair => pair.Value * values[pair.Key == Condition.Lowest ? lowest! : pair.Key][seed])))];
    }
}
