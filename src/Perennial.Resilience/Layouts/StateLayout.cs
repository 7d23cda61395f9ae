using Perennial.Core;
using Perennial.Core.Safetensors;

namespace Perennial.Resilience.Layouts;

/// <summary>What a kind of state is for; decides where ZeRO puts it.</summary>
public enum SlotRole
{
    /// <summary>What the forward pass reads: on every data rank up to ZeRO 2.</summary>
    Weight,

    /// <summary>What only the optimizer reads (moments, a float32 master): cut over the data ranks from ZeRO 1 on.</summary>
    Optimizer,

    /// <summary>What is not one number a parameter (factored moments, projectors, block scales, counters): whole, where its tensor is updated.</summary>
    Auxiliary,
}

/// <summary>One kind of state over all tensors.</summary>
/// <param name="Name">Its name: <c>weight</c>, <c>adam.m</c>, …</param>
/// <param name="Role">What it is for.</param>
/// <param name="Type">Element type.</param>
/// <param name="RoundedFrom">The slot that this one is a rounded copy of (low-precision weights from a float32 master), or null.</param>
public sealed record StateSlot(string Name, SlotRole Role, SafetensorsType Type = SafetensorsType.F32, string? RoundedFrom = null);

/// <summary>A slot and where it lives.</summary>
/// <param name="Slot">The slot.</param>
/// <param name="Layout">Its placement; each rank has one flat buffer for it.</param>
public sealed record SlotLayout(StateSlot Slot, Layout Layout);

/// <summary>The layout of the whole state: one <see cref="Layout"/> a slot, over the same ranks.</summary>
/// <param name="Shape">The parallel shape it was built for; <see cref="ParallelShape.Single"/> where it was made by hand.</param>
/// <param name="Slots">The slots in order.</param>
public sealed record StateLayout(ParallelShape Shape, IReadOnlyList<SlotLayout> Slots)
{
    /// <summary>How many ranks there are.</summary>
    public int Ranks => Slots.Count == 0 ? 0 : Slots[0].Layout.Ranks.Count;

    /// <summary>The layout of a slot, or null.</summary>
    public SlotLayout? Find(string slot) => Slots.FirstOrDefault(entry => entry.Slot.Name == slot);

    /// <summary>The bytes of all of a rank's buffers.</summary>
    public long BytesOf(int rank) => Slots.Sum(entry => entry.Layout.Ranks[rank].Bytes);

    /// <summary>Builds the layouts of all slots.</summary>
    /// <param name="tensors">The model's tensors in flat order; element sizes are taken from the slots.</param>
    /// <param name="rules">How they are cut.</param>
    /// <param name="shape">The parallel shape.</param>
    /// <param name="slots">The slots; names differ.</param>
    /// <param name="options">Alignment, interleaving, stages.</param>
    /// <param name="frozen">Tensors without optimizer state.</param>
    /// <exception cref="PerennialException">Exit 2: the model cannot be cut so, or a slot is impossible.</exception>
    public static StateLayout Build(IEnumerable<LogicalTensor> tensors, RuleTable rules, ParallelShape shape, IReadOnlyList<StateSlot> slots, LayoutOptions? options = null, IReadOnlySet<string>? frozen = null)
    {
        ArgumentNullException.ThrowIfNull(rules);
        ArgumentNullException.ThrowIfNull(shape);
        ArgumentNullException.ThrowIfNull(slots);
        var ruled = rules.Apply(tensors);
        if (slots.Select(slot => slot.Name).Distinct(StringComparer.Ordinal).Count() != slots.Count) throw PerennialException.Usage("layout: two slots have one name");
        foreach (var slot in slots.Where(slot => slot.RoundedFrom is not null))
            if (!slots.Any(other => other.Name == slot.RoundedFrom && other.Type == SafetensorsType.F32) || slot.Type is not (SafetensorsType.BF16 or SafetensorsType.F16))
                throw PerennialException.Usage($"layout: slot '{slot.Name}' is to be rounded from '{slot.RoundedFrom}'; that takes bfloat16 or float16 and a float32 slot of that name");
        return new(shape, [.. slots.Select(slot => new SlotLayout(slot, LayoutBuilder.Build(Typed(ruled, slot, frozen), shape, shape.Zero == 3 || (shape.Zero > 0 && slot.Role == SlotRole.Optimizer), options)))]);
    }

    private static List<RuledTensor> Typed(IReadOnlyList<RuledTensor> ruled, StateSlot slot, IReadOnlySet<string>? frozen) =>
        [.. ruled.Where(entry => slot.Role == SlotRole.Weight || frozen is null || !frozen.Contains(entry.Tensor.Name))
            .Select(entry => entry with { Tensor = entry.Tensor with { ElementBytes = slot.Type.Size() } })];
}
