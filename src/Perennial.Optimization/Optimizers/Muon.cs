using System.ComponentModel.DataAnnotations;
using Perennial.Core;
using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Optimization;

/// <summary>Options of <see cref="Muon"/>.</summary>
public sealed record MuonOptions : AdamOptions, IMachineOptions
{
    /// <summary>Rate of the embedding, the head and vectors (AdamW) as a multiple of <see cref="AdamOptions.Rate"/>.</summary>
    [Range(0.0, 1000)]
    public double OtherRate { get; init; } = 1;

    /// <summary>Momentum of matrices.</summary>
    [Range(0.0, 0.9999)]
    public double Momentum { get; init; } = 0.95;

    /// <summary>Whether the update looks ahead: g + momentum · m in place of m.</summary>
    public bool Nesterov { get; init; } = true;

    /// <summary>Newton-Schulz iterations.</summary>
    [Range(1, 20)]
    public int Iterations { get; init; } = 5;

    /// <summary>Whether embeddings and head are treated as matrices too. The outlier-safe paper's control: worse for quantization.</summary>
    public bool Tables { get; init; }

    /// <summary>What the Newton-Schulz products are computed in. 16 bits are enough: the published code uses bfloat16.</summary>
    public ProductPrecision Products { get; init; }

    /// <inheritdoc/>
    public override OptimizerCost Cost(FlatLayout layout)
    {
        ArgumentNullException.ThrowIfNull(layout);
        var (mine, rest) = Split(layout);
        var elements = mine.Sum(entry => entry.Length);
        var work = MatrixPart.Of(mine).Select(part => NewtonSchulz.Work(Computed, part.Rows, part.Columns, Iterations)).ToList();
        return new(
            elements * sizeof(float) + AdamMoments.Bytes(rest), elements * 5 * sizeof(float) + AdamMoments.MovedBytes(rest),
            work.Sum(one => one.Floats), Computed == ProductPrecision.Bfloat16 ? Precision.Bfloat16 : Precision.Float32, work.Sum(one => one.Integers));
    }

    /// <inheritdoc/>
    public IOptimizerOptions Decide(IOptimizerOptions? stored, bool hasNativeBfloat16) =>
        Products != ProductPrecision.Auto ? this : this with { Products = stored is MuonOptions muon ? muon.Products : ProductPrecisions.Fastest(hasNativeBfloat16) };

    /// <summary>Entries that are Muon's, as matrices, and those that are AdamW's.</summary>
    internal (IReadOnlyList<FlatEntry> Mine, IReadOnlyList<FlatEntry> Others) Split(FlatLayout layout) =>
        ([.. layout.Entries.Where(IsMine).Select(entry => entry with { Kind = EntryKind.Matrix })], [.. layout.Entries.Where(entry => !IsMine(entry))]);

    /// <summary>What the products are really computed in on this machine: bfloat16 is float32 where the processor has no such products.</summary>
    internal ProductPrecision Computed => Products switch
    {
        ProductPrecision.Auto => ProductPrecisions.Fastest(Bfloat16.IsNative),
        ProductPrecision.Bfloat16 when !Bfloat16.IsNative => ProductPrecision.Float32,
        var stated => stated,
    };

    private bool IsMine(FlatEntry entry) => entry.Kind == EntryKind.Matrix || (Tables && entry.Kind == EntryKind.Table);
}

/// <summary>
/// Momentum orthogonalized by Newton-Schulz (Jordan et al. 2024) for matrices, AdamW for the rest: M ← βM + G, U = G + βM,
/// W ← W − rate·(0.2·√max(m, n)·NS(U) + decay·W); the factor makes the update as large as AdamW's whatever the shape (Liu et al. 2025,
/// "Muon is scalable", section 2.2; Park et al. 2025, "Outlier-safe pre-training"). q, k and v are orthogonalized each by itself.
/// Memory: 4 bytes a parameter of matrices, 8 of the rest.
/// </summary>
[Component("muon")]
public sealed class Muon : IEntryOptimizer
{
    private readonly MuonOptions options;
    private readonly FlatParameters parameters;
    private readonly AdamMoments rest;
    private readonly Dictionary<string, MatrixPart[]> parts;
    private readonly SlotOffsets offsets;
    private readonly Tensor momentum;
    private readonly NewtonSchulzPool scratches;
    private readonly ProductPrecision products;

    /// <summary>Momentum and moments start at zero.</summary>
    public Muon(MuonOptions options, FlatParameters parameters)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(parameters);
        (this.options, this.parameters) = (options, parameters);
        var (mine, others) = options.Split(parameters.Layout);
        parts = MatrixPart.Of(mine).GroupBy(part => part.Entry.Name).ToDictionary(group => group.Key, group => group.ToArray(), StringComparer.Ordinal);
        offsets = new SlotOffsets(mine);
        momentum = HugePages.Zeros(offsets.Length);
        rest = new AdamMoments("muon.rest", parameters, others);
        products = options.Computed;
        scratches = new NewtonSchulzPool(products, options.Iterations);
        Slots = [.. offsets.Length == 0 ? [] : new[] { new StateSlot("muon.momentum", momentum) { Index = SlotIndex.Of(mine) } }, .. rest.Slots];
    }

    /// <inheritdoc/>
    public IReadOnlyList<StateSlot> Slots { get; }

    /// <inheritdoc/>
    public bool NeedsWhole(FlatEntry entry)
    {
        ArgumentNullException.ThrowIfNull(entry);
        return parts.ContainsKey(entry.Name);
    }

    /// <inheritdoc/>
    public void Step(long step, double rate, double gradientScale) => StepEntries(parameters.Layout.Entries, step, rate, gradientScale);

    /// <inheritdoc/>
    public void StepEntries(IReadOnlyList<FlatEntry> entries, long step, double rate, double gradientScale)
    {
        ArgumentNullException.ThrowIfNull(entries);
        rest.Step(entries, options.Adam(step, rate * options.OtherRate, gradientScale));
        MatrixPart.ForEach(entries.SelectMany(entry => parts.GetValueOrDefault(entry.Name) ?? []), part => Update(part, rate, (float)gradientScale));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        rest.Dispose();
        momentum.Dispose();
        scratches.Dispose();
    }

    private void Update(MatrixPart part, double rate, float scale)
    {
        if (products == ProductPrecision.Fixed16) Update<Fixed16Storage>(part, rate, scale);
        else if (products == ProductPrecision.Bfloat16) Update<Bfloat16Storage>(part, rate, scale);
        else Update<Float32Storage>(part, rate, scale);
    }

    private unsafe void Update<T>(MatrixPart part, double rate, float scale)
        where T : struct, IStorage
    {
        var (rows, columns, stride) = (part.Rows, (int)part.Columns, part.Stride);
        var values = (float*)TensorMemory.Address<float>(parameters.Values) + part.Entry.Offset + part.First;
        var gradients = (float*)TensorMemory.Address<float>(parameters.Gradients) + parameters.GradientOffset(part.Entry) + part.First;
        var kept = (float*)TensorMemory.Address<float>(momentum) + offsets[part.Entry] + part.First;
        var mu = (float)options.Momentum;
        var (squares, largest) = MomentumKernel.Accumulate(gradients, kept, rows, columns, stride, scale, mu, options.Nesterov);
        var scratch = scratches.Rent(rows, columns);
        var size = scratch.Prepare(Math.Sqrt(squares), largest);
        MomentumKernel.Direction<T>(gradients, kept, TensorMemory.Pointer(scratch.Input), scratch.Pitch, rows, columns, stride, scale, mu, options.Nesterov, size);
        var direction = scratch.Iterate();
        // Integers know no infinity and no NaN: what is not finite must not look as if it were.
        var move = double.IsFinite(squares) ? (float)(-rate * 0.2 * Math.Sqrt(Math.Max(rows, columns))) * scratch.ResultScale : float.NaN;
        var keep = (float)(1 - rate * options.Decay);
        MomentumKernel.Move<T>(values, TensorMemory.Pointer(direction), scratch.Pitch, rows, columns, stride, move, keep);
        scratches.Return(scratch);
    }
}
