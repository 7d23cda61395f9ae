using System.Buffers.Binary;
using System.IO.Hashing;

namespace Perennial.Data.Preparation;

/// <summary>Which documents are kept apart: a keyed hash of the text decides, so equal texts always fall on the same side.</summary>
/// <param name="Fraction">Expected share of documents.</param>
/// <param name="Seed">Key.</param>
public sealed record HoldoutRule(double Fraction, ulong Seed)
{
    /// <summary>A uniform number in [0, 1) that only the text and the key decide.</summary>
    public double Draw(ReadOnlySpan<byte> text) =>
        (BinaryPrimitives.ReadUInt64LittleEndian(XxHash128.Hash(text, (long)Seed)) >> 11) * (1.0 / (1UL << 53));

    /// <summary>Whether a document is held out.</summary>
    public bool HoldsOut(ReadOnlySpan<byte> text) => Fraction > 0 && Draw(text) < Fraction;
}
