using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Optimization;

/// <summary>What Adam is told of one step.</summary>
/// <param name="Step">One-based number of the update.</param>
/// <param name="Rate">Learning rate.</param>
/// <param name="GradientScale">Factor on every gradient.</param>
/// <param name="Beta1">Decay rate of the first moment.</param>
/// <param name="Beta2">Decay rate of the second moment.</param>
/// <param name="Epsilon">Added to the root of the second moment.</param>
/// <param name="Decay">Decoupled weight decay.</param>
internal readonly record struct AdamStep(long Step, double Rate, double GradientScale, double Beta1, double Beta2, double Epsilon, double Decay);

/// <summary>
/// Adam's two moments of some entries, kept one after another: the whole of AdamW, and what Muon, GaLore and others do with the entries
/// that are not theirs. 8 bytes a parameter.
/// </summary>
internal sealed class AdamMoments : IDisposable
{
    private readonly FlatParameters parameters;
    private readonly SlotOffsets offsets;
    private readonly Tensor first, second;

    /// <param name="name">Prefix of the slots' names.</param>
    /// <param name="parameters">The parameters.</param>
    /// <param name="entries">The entries whose moments are kept; others are passed over.</param>
    public AdamMoments(string name, FlatParameters parameters, IReadOnlyList<FlatEntry> entries)
    {
        this.parameters = parameters;
        offsets = new SlotOffsets(entries);
        (first, second) = (HugePages.Zeros(offsets.Length), HugePages.Zeros(offsets.Length));
        var index = offsets.Length == parameters.Layout.Length ? null : SlotIndex.Of(entries);
        Slots = offsets.Length == 0 ? [] : [new(name + ".first-moment", first) { Index = index }, new(name + ".second-moment", second) { Index = index }];
    }

    /// <summary>Both moments; none where no entry is kept.</summary>
    public IReadOnlyList<StateSlot> Slots { get; }

    /// <summary>Bytes of both moments of some entries.</summary>
    public static long Bytes(IEnumerable<FlatEntry> entries) => entries.Sum(entry => entry.Length) * 2 * sizeof(float);

    /// <summary>Bytes that a step over some entries reads and writes: parameter and both moments both ways, the gradient once.</summary>
    public static long MovedBytes(IEnumerable<FlatEntry> entries) => entries.Sum(entry => entry.Length) * 7 * sizeof(float);

    /// <summary>Updates those of some entries whose moments are here.</summary>
    public unsafe void Step(IEnumerable<FlatEntry> entries, AdamStep step)
    {
        var kernel = new AdamKernel(step);
        var keep = (float)(1 - step.Rate * step.Decay);
        var values = (float*)TensorMemory.Address<float>(parameters.Values);
        var gradients = (float*)TensorMemory.Address<float>(parameters.Gradients);
        var firsts = (float*)TensorMemory.Address<float>(first);
        var seconds = (float*)TensorMemory.Address<float>(second);
        UpdateRun.ForEachPiece(UpdateRun.Of(parameters, entries.Where(offsets.Contains), offsets), piece => kernel.Apply(
            values + piece.Parameter, gradients + piece.Gradient, firsts + piece.Slot, seconds + piece.Slot, piece.Length, piece.Decays ? keep : 1));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        first.Dispose();
        second.Dispose();
    }
}
