using System.ComponentModel.DataAnnotations;
using Perennial.Core;
using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Optimization;

/// <summary>Options of <see cref="Muon"/>.</summary>
public sealed record MuonOptions : AdamOptions
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

    /// <summary>Element type of the Newton-Schulz products. bfloat16 is what the published code uses on accelerators; it is computed in float32 where the processor has no bfloat16 products.</summary>
    public SlotPrecision Products { get; init; } = SlotPrecision.Bfloat16;

    /// <inheritdoc/>
    public override OptimizerCost Cost(FlatLayout layout)
    {
        ArgumentNullException.ThrowIfNull(layout);
        var (mine, rest) = Split(layout);
        var elements = mine.Sum(entry => entry.Length);
        return new(
            elements * sizeof(float) + AdamMoments.Bytes(rest), elements * 5 * sizeof(float) + AdamMoments.MovedBytes(rest),
            MatrixPart.Of(mine).Sum(part => NewtonSchulz.Flops(ProductType, part.Rows, part.Columns, Iterations)), Rounds ? Precision.Bfloat16 : Precision.Float32);
    }

    /// <summary>Entries that are Muon's, as matrices, and those that are AdamW's.</summary>
    internal (IReadOnlyList<FlatEntry> Mine, IReadOnlyList<FlatEntry> Others) Split(FlatLayout layout) =>
        ([.. layout.Entries.Where(IsMine).Select(entry => entry with { Kind = EntryKind.Matrix })], [.. layout.Entries.Where(entry => !IsMine(entry))]);

    internal bool Rounds => Products == SlotPrecision.Bfloat16 && Bfloat16.IsNative;

    internal ScalarType ProductType => Rounds ? ScalarType.BFloat16 : ScalarType.Float32;

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
    private readonly bool rounds;

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
        rounds = options.Rounds;
        scratches = new NewtonSchulzPool(options.ProductType);
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

    private unsafe void Update(MatrixPart part, double rate, float scale)
    {
        var (rows, columns, stride) = (part.Rows, (int)part.Columns, part.Stride);
        var values = (float*)TensorMemory.Address<float>(parameters.Values) + part.Entry.Offset + part.First;
        var gradients = (float*)TensorMemory.Address<float>(parameters.Gradients) + parameters.GradientOffset(part.Entry) + part.First;
        var kept = (float*)TensorMemory.Address<float>(momentum) + offsets[part.Entry] + part.First;
        var mu = (float)options.Momentum;
        var squares = MomentumKernel.Accumulate(gradients, kept, rows, columns, stride, scale, mu, options.Nesterov);
        var inverse = (float)(1 / (Math.Sqrt(squares) + 1e-8));
        var scratch = scratches.Rent(rows, columns);
        var input = scratch.Input;
        if (rounds) MomentumKernel.Direction<Bfloat16Storage>(gradients, kept, TensorMemory.Pointer(input), rows, columns, stride, scale, mu, options.Nesterov, inverse);
        else MomentumKernel.Direction<Float32Storage>(gradients, kept, TensorMemory.Pointer(input), rows, columns, stride, scale, mu, options.Nesterov, inverse);
        var direction = scratch.Iterate(options.Iterations);
        var move = (float)(-rate * 0.2 * Math.Sqrt(Math.Max(rows, columns)));
        var keep = (float)(1 - rate * options.Decay);
        if (rounds) MomentumKernel.Move<Bfloat16Storage>(values, TensorMemory.Pointer(direction), rows, columns, stride, move, keep);
        else MomentumKernel.Move<Float32Storage>(values, TensorMemory.Pointer(direction), rows, columns, stride, move, keep);
        scratches.Return(scratch);
    }
}
