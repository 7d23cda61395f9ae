using System.ComponentModel.DataAnnotations;
using Perennial.Core;
using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Optimization;

/// <summary>Options of <see cref="AdamW8Bit"/>.</summary>
public sealed record AdamW8BitOptions : AdamOptions
{
    /// <summary>Tensors with fewer elements keep float32 moments, as vectors always do.</summary>
    [Range(0, long.MaxValue)]
    public long Smallest { get; init; } = 4096;

    /// <inheritdoc/>
    public override OptimizerCost Cost(FlatLayout layout)
    {
        ArgumentNullException.ThrowIfNull(layout);
        var rest = layout.Entries.Where(entry => !IsQuantized(entry)).ToList();
        var mine = layout.Entries.Where(IsQuantized).ToList();
        var state = mine.Sum(entry => 2 * (entry.Length + AdamW8Bit.Blocks(entry) * sizeof(float)));
        return new(state + AdamMoments.Bytes(rest), mine.Sum(entry => entry.Length) * 3 * sizeof(float) + 2 * state + AdamMoments.MovedBytes(rest));
    }

    internal bool IsQuantized(FlatEntry entry) => entry.Decays && entry.Length >= Smallest;
}

/// <summary>
/// AdamW whose moments are kept in 8 bits (Dettmers et al. 2022, block-wise dynamic quantization): blocks of 256 inside a tensor share a
/// float32 scale, their largest magnitude. Memory: 2 + 8/256 bytes a parameter of large matrices and tables, 8 of the rest.
/// </summary>
[Component("adamw-8bit")]
public sealed class AdamW8Bit : IEntryOptimizer
{
    private readonly AdamW8BitOptions options;
    private readonly FlatParameters parameters;
    private readonly SlotOffsets offsets, blocks;
    private readonly Tensor first, second, firstScale, secondScale;
    private readonly AdamMoments rest;

    /// <summary>Moments start at zero.</summary>
    public AdamW8Bit(AdamW8BitOptions options, FlatParameters parameters)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(parameters);
        (this.options, this.parameters) = (options, parameters);
        var mine = parameters.Layout.Entries.Where(options.IsQuantized).ToList();
        (offsets, blocks) = (new SlotOffsets(mine), new SlotOffsets(mine, Blocks));
        first = HugePages.Zeros(ScalarType.Byte, offsets.Length);
        second = HugePages.Zeros(ScalarType.Byte, offsets.Length);
        using (no_grad()) first.fill_(127); // the signed map's zero
        (firstScale, secondScale) = (HugePages.Zeros(blocks.Length), HugePages.Zeros(blocks.Length));
        rest = new AdamMoments("adamw-8bit.rest", parameters, [.. parameters.Layout.Entries.Where(entry => !options.IsQuantized(entry))]);
        var (codes, scales) = (SlotIndex.Of(mine), SlotIndex.Of(mine, DynamicMap.Block));
        Slots =
        [
            .. mine.Count == 0 ? [] : new StateSlot[]
            {
                new("adamw-8bit.first-moment", first) { Index = codes }, new("adamw-8bit.first-scale", firstScale) { Index = scales },
                new("adamw-8bit.second-moment", second) { Index = codes }, new("adamw-8bit.second-scale", secondScale) { Index = scales },
            },
            .. rest.Slots,
        ];
    }

    /// <inheritdoc/>
    public IReadOnlyList<StateSlot> Slots { get; }

    /// <inheritdoc/>
    public void Step(long step, double rate, double gradientScale) => StepEntries(parameters.Layout.Entries, step, rate, gradientScale);

    /// <inheritdoc/>
    public unsafe void StepEntries(IReadOnlyList<FlatEntry> entries, long step, double rate, double gradientScale)
    {
        ArgumentNullException.ThrowIfNull(entries);
        var adam = options.Adam(step, rate, gradientScale);
        rest.Step(entries, adam);
        const int perPiece = 256;
        var pieces = entries.Where(offsets.Contains).SelectMany(entry =>
            Enumerable.Range(0, checked((int)((Blocks(entry) + perPiece - 1) / perPiece))).Select(piece => (Entry: entry, First: (long)piece * perPiece))).ToList();
        var kernel = new QuantizedAdamKernel(adam);
        var keep = (float)(1 - rate * options.Decay);
        var values = (float*)TensorMemory.Address<float>(parameters.Values);
        var gradients = (float*)TensorMemory.Address<float>(parameters.Gradients);
        var (codes1, codes2) = (TensorMemory.Address<byte>(first), TensorMemory.Address<byte>(second));
        var (scales1, scales2) = (TensorMemory.Address<float>(firstScale), TensorMemory.Address<float>(secondScale));
        ThreadTeam.For(pieces.Count, index =>
        {
            var (entry, block) = pieces[index];
            var end = Math.Min(block + perPiece, Blocks(entry));
            float* p = values + entry.Offset, g = gradients + parameters.GradientOffset(entry);
            byte* m = (byte*)codes1 + offsets[entry], v = (byte*)codes2 + offsets[entry];
            float* s1 = (float*)scales1 + blocks[entry], s2 = (float*)scales2 + blocks[entry];
            for (; block < end; block++)
            {
                var at = block * DynamicMap.Block;
                kernel.Apply(p + at, g + at, m + at, v + at, (int)Math.Min(DynamicMap.Block, entry.Length - at), ref s1[block], ref s2[block], keep);
            }
        });
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        first.Dispose();
        second.Dispose();
        firstScale.Dispose();
        secondScale.Dispose();
        rest.Dispose();
    }

    internal static long Blocks(FlatEntry entry) => (entry.Length + DynamicMap.Block - 1) / DynamicMap.Block;
}
