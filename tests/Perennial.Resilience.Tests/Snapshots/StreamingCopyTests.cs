using CsCheck;
using Perennial.Resilience.Snapshots;

namespace Perennial.Resilience.Tests.Snapshots;

public class StreamingCopyTests
{
    [Fact]
    public void Copies_every_byte_and_no_other_whatever_the_alignment() => Gen.Select(Gen.Int[0, 40], Gen.Int[0, 40], Gen.Int[0, 5000], Gen.Int).Sample((from, to, bytes, seed) =>
    {
        var (source, target) = (new byte[bytes + 80], new byte[bytes + 80]);
        new Random(seed).NextBytes(source);
        var expected = (byte[])target.Clone();
        source.AsSpan(from, bytes).CopyTo(expected.AsSpan(to));
        unsafe
        {
            fixed (byte* first = source, second = target) StreamingCopy.Copy(first + from, second + to, bytes);
        }
        Assert.Equal(expected, target);
    });
}
