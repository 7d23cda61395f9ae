using System.ComponentModel.DataAnnotations;
using Perennial.Core;
using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Optimization;

/// <summary>Options of <see cref="Adafactor"/>.</summary>
public sealed record AdafactorOptions : IOptimizerOptions
{
    /// <summary>Peak learning rate; with <see cref="RelativeStep"/> the largest relative step, 1e-2 in the paper.</summary>
    [Range(0.0, 100)]
    public double Rate { get; init; } = 2e-3;

    /// <summary>Whether the step is min(rate, 1/√t) times the root mean square of the tensor (at least <see cref="SmallestScale"/>).</summary>
    public bool RelativeStep { get; init; }

    /// <summary>Smallest tensor size that a relative step counts with (ε₂).</summary>
    [Range(0.0, 1)]
    public double SmallestScale { get; init; } = 1e-3;

    /// <summary>Decoupled weight decay of matrices; norms and biases are spared.</summary>
    [Range(0.0, 100)]
    public double Decay { get; init; } = 0.1;

    /// <summary>c in the second moment's decay rate 1 − t^(−c).</summary>
    [Range(0.01, 1)]
    public double DecayPower { get; init; } = 0.8;

    /// <summary>β₁; 0 keeps no momentum.</summary>
    [Range(0.0, 0.9999)]
    public double Momentum { get; init; }

    /// <summary>Largest root mean square of a tensor's update before the rate (d).</summary>
    [Range(1e-6, double.MaxValue)]
    public double UpdateClip { get; init; } = 1;

    /// <summary>Added to every squared gradient (ε₁).</summary>
    [Range(0.0, 1)]
    public double Epsilon { get; init; } = 1e-30;

    /// <summary>Largest global gradient norm; 0 means no clipping, for updates are clipped already.</summary>
    [Range(0.0, double.MaxValue)]
    public double Clip { get; init; }

    /// <inheritdoc/>
    public OptimizerCost Cost(FlatLayout layout)
    {
        ArgumentNullException.ThrowIfNull(layout);
        var state = layout.Entries.Sum(Adafactor.Factors) + (Momentum > 0 ? layout.Length : 0);
        // The gradient is read for the factors and, as its clip is known only then, for the update.
        return new(state * sizeof(float), layout.Length * (Momentum > 0 ? 6 : 4) * sizeof(float));
    }
}

/// <summary>
/// Adam with a factored second moment (Shazeer and Stern 2018, algorithms 4 and 5): of (G² + ε₁) only means of rows R and of columns C
/// are kept, V̂ = R·C / mean(R); U = G / √V̂ is clipped to a root mean square of d. Vectors keep a whole second moment.
/// Memory: 4 bytes for every row and column of a matrix and every element of a vector; 4 more a parameter with momentum.
/// </summary>
[Component("adafactor")]
public sealed class Adafactor : IEntryOptimizer
{
    private const long LargeEntry = 1 << 20;
    private readonly AdafactorOptions options;
    private readonly FlatParameters parameters;
    private readonly SlotOffsets offsets, whole;
    private readonly Tensor factors;
    private readonly Tensor? momentum;

    /// <summary>Everything starts at zero.</summary>
    public Adafactor(AdafactorOptions options, FlatParameters parameters)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(parameters);
        (this.options, this.parameters) = (options, parameters);
        var entries = parameters.Layout.Entries;
        foreach (var entry in entries) MatrixPart.RequireWhole(entry);
        (offsets, whole) = (new SlotOffsets(entries, Factors), new SlotOffsets(entries));
        factors = HugePages.Zeros(offsets.Length);
        if (options.Momentum > 0) momentum = HugePages.Zeros(parameters.Layout.Length);
        StateSlot kept = new("adafactor.factors", factors) { Index = SlotIndex.Whole(entries.Select(entry => (entry.Name, entry.Offset, entry.Length, Factors(entry)))) };
        Slots = momentum is null ? [kept] : [kept, new("adafactor.momentum", momentum)];
    }

    /// <inheritdoc/>
    public IReadOnlyList<StateSlot> Slots { get; }

    /// <inheritdoc/>
    public bool NeedsWhole(FlatEntry entry) => true;

    /// <inheritdoc/>
    public void Step(long step, double rate, double gradientScale) => StepEntries(parameters.Layout.Entries, step, rate, gradientScale);

    /// <inheritdoc/>
    public void StepEntries(IReadOnlyList<FlatEntry> entries, long step, double rate, double gradientScale)
    {
        ArgumentNullException.ThrowIfNull(entries);
        // Large tensors are passed over by all threads, the others go to one thread each: a pass over a small one is shorter than waking a team.
        foreach (var entry in entries.Where(entry => entry.Length >= LargeEntry)) Update(entry, step, rate, gradientScale);
        var small = entries.Where(entry => entry.Length < LargeEntry).OrderByDescending(entry => entry.Length).ToList();
        ThreadTeam.For(small.Count, index => Update(small[index], step, rate, gradientScale));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        factors.Dispose();
        momentum?.Dispose();
    }

    private unsafe void Update(FlatEntry entry, long step, double rate, double gradientScale)
    {
        var beta2 = 1 - Math.Pow(step, -options.DecayPower);
        // A vector is a matrix of one row whose own second moment stands for the columns'.
        var (rows, columns) = IsFactored(entry) ? ((int)entry.Shape[0], (int)(entry.Length / entry.Shape[0])) : (1, checked((int)entry.Length));
        var p = (float*)TensorMemory.Address<float>(parameters.Values) + entry.Offset;
        var g = (float*)TensorMemory.Address<float>(parameters.Gradients) + parameters.GradientOffset(entry);
        var kept = (float*)TensorMemory.Address<float>(factors) + offsets[entry];
        var b = momentum is null ? null : (float*)TensorMemory.Address<float>(momentum) + whole[entry];
        float[] row = new float[rows], column = new float[columns];
        Factor(g, kept, rows, columns, (float)gradientScale, beta2, row, column, IsFactored(entry));
        fixed (float* r = row, c = column)
        {
            var size = Math.Sqrt(FactoredKernel.Squares(g, rows, columns, (float)gradientScale, r, c) / entry.Length);
            var shrink = 1 / Math.Max(1, size / options.UpdateClip);
            var move = options.RelativeStep ? Math.Min(rate, 1 / Math.Sqrt(step)) * Math.Max(options.SmallestScale, Math.Sqrt(Squares.Sum(p, rows, columns, columns) / entry.Length)) : rate;
            FactoredKernel.Apply(p, g, b, rows, columns, (float)gradientScale, r, c, (float)shrink, (float)options.Momentum, (float)-move, (float)(entry.Decays ? 1 - move * options.Decay : 1));
        }
    }

    /// <summary>Numbers kept of an entry's second moment.</summary>
    internal static long Factors(FlatEntry entry) => IsFactored(entry) ? entry.Shape[0] + entry.Length / entry.Shape[0] : entry.Length;

    private static bool IsFactored(FlatEntry entry) => entry.Shape.Count >= 2;

    /// <summary>Moves the kept means, and fills <paramref name="row"/> and <paramref name="column"/> so that 1/√V̂ is their product.</summary>
    private unsafe void Factor(float* g, float* kept, int rows, int columns, float scale, double beta2, float[] row, float[] column, bool factored)
    {
        double[] rowMeans = new double[rows], columnMeans = new double[columns];
        FactoredKernel.Means(g, rows, columns, scale, (float)options.Epsilon, rowMeans, columnMeans);
        float* rowStart = kept, columnStart = factored ? kept + rows : kept;
        var mean = 0.0;
        for (var i = 0; factored && i < rows; i++)
        {
            rowStart[i] = (float)(beta2 * rowStart[i] + (1 - beta2) * rowMeans[i]);
            mean += rowStart[i] / (double)rows;
        }
        for (var j = 0; j < columns; j++)
        {
            columnStart[j] = (float)(beta2 * columnStart[j] + (1 - beta2) * columnMeans[j]);
            column[j] = (float)(1 / Math.Sqrt(columnStart[j]));
        }
        // A row that never had a gradient has nothing to move.
        for (var i = 0; i < rows; i++) row[i] = !factored ? 1 : rowStart[i] > 0 ? (float)Math.Sqrt(mean / rowStart[i]) : 0;
        for (var j = 0; j < columns; j++) if (!float.IsFinite(column[j])) column[j] = 0;
    }
}
