namespace Perennial.Optimization;

/// <summary>Where the left operand of a product lies: pairs of neighbours along the summed dimension, one 32-bit word each.</summary>
/// <param name="Start">The pair of row 0.</param>
/// <param name="Row">Words from a row to the next within a group of four.</param>
/// <param name="Pair">Words from a pair to the next.</param>
/// <param name="Group">Words from a group of four rows to the next; 0 when the operand is made of panels.</param>
internal readonly unsafe record struct FixedOperand(nint Start, nint Row, nint Pair, nint Group)
{
    /// <summary>A matrix as it lies, <c>[m, k]</c>.</summary>
    public static FixedOperand Of(short* values, int k) => new((nint)values, k / 2, 1, 2 * k);

    /// <summary>The transpose of what panels hold: <c>[m, k]</c> out of panels of <c>[k, m]</c>.</summary>
    public static FixedOperand OfPanels(short* panels, int k) => new((nint)panels, 1, FixedProduct.Panel, 0) { PanelLength = k / 2 * FixedProduct.Panel };

    private nint PanelLength { get; init; }

    /// <summary>Where the pairs of a group of four rows begin.</summary>
    public int* At(int row)
    {
        if (Group != 0) return (int*)Start + row / 4 * Group;
        // Panels hold columns in the order 0-3, 8-11, 4-7, 12-15.
        var place = row % FixedProduct.Panel;
        return (int*)Start + row / FixedProduct.Panel * PanelLength + (place is 4 or 8 ? 12 - place : place);
    }
}
