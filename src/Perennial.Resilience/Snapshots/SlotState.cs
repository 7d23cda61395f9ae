namespace Perennial.Resilience.Snapshots;

/// <summary>Life of a slot (paper 02 §3): written in this order, and back to <see cref="Empty"/> by an abort.</summary>
public enum SlotState : uint
{
    /// <summary>Holds nothing that may be used.</summary>
    Empty = 0,

    /// <summary>Being filled.</summary>
    Writing = 1,

    /// <summary>The data and the parity that this rank holds for the step have landed and are hashed.</summary>
    Prepared = 2,

    /// <summary>Every rank was prepared: the step can be restored.</summary>
    Committed = 3,
}

/// <summary>What a slot holds.</summary>
public enum SlotKind : byte
{
    /// <summary>The rank's own state.</summary>
    Data = 0,

    /// <summary>Parity of other ranks' states.</summary>
    Parity = 1,
}
