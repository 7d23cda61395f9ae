using Perennial.Core;

namespace Perennial.Resilience.Universal;

/// <summary>
/// One logical tensor of a universal checkpoint, whole and unpadded, read part after part: it never exists as a whole. Checksums are tested
/// before anything is given out, and after the last part the content must be what was saved.
/// </summary>
public sealed class TensorReader
{
    private readonly CopyWindow window;
    private readonly ContentDigest expected;
    private readonly int elementBytes;
    private readonly string place;
    private ContentDigest found;

    internal TensorReader(CopyWindow window, ContentDigest expected, long bytes, int elementBytes, string place) =>
        (this.window, this.expected, Bytes, this.elementBytes, this.place) = (window, expected, bytes, elementBytes, place);

    /// <summary>Bytes of the tensor.</summary>
    public long Bytes { get; }

    /// <summary>Makes the bytes from <paramref name="from"/> on; parts come in order and are whole elements.</summary>
    /// <exception cref="PerennialException">Exit 3: after the last part, the content is not what was saved.</exception>
    public void Fill(long from, Span<byte> destination)
    {
        window.Fill(from, destination);
        found = from == 0 ? ContentDigest.Of(destination, elementBytes, 0) : found + ContentDigest.Of(destination, elementBytes, from / elementBytes);
        if (from + destination.Length == Bytes && found != expected) throw PerennialException.Damaged($"{place} is not what was saved");
    }
}
