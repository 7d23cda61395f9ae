using CsCheck;
using Perennial.Resilience.Universal;

namespace Perennial.Resilience.Tests.Universal;

public class ContentDigestTests
{
    [Fact]
    public void Digests_of_parts_add_up_wherever_the_cuts_are() =>
        Gen.Select(Gen.Int[0, 2], Gen.Byte.Array[0, 100], Gen.Int[0, 100], Gen.Long[0, 1L << 40]).Sample((kind, raw, cut, first) =>
        {
            var element = 1 << kind;
            var bytes = Enumerable.Repeat(raw, 4).SelectMany(part => part).ToArray().AsSpan();
            bytes = bytes[..(bytes.Length / element * element)];
            cut = Math.Min(cut, bytes.Length / element);
            Assert.Equal(ContentDigest.Of(bytes, element, first), ContentDigest.Of(bytes[(cut * element)..], element, first + cut) + ContentDigest.Of(bytes[..(cut * element)], element, first));
        });

    [Fact]
    public void Wide_and_single_elements_give_one_sum()
    {
        // 67 elements take the wide path where there is one; one by one they never do.
        var bytes = new byte[67 * 4];
        new Random(5).NextBytes(bytes);
        foreach (var element in new[] { 1, 2, 4, 8 })
        {
            var sum = default(ContentDigest);
            for (var i = 0; i < bytes.Length / element; i++) sum += ContentDigest.Of(bytes.AsSpan(i * element, element), element, 1000 + i);
            Assert.Equal(sum, ContentDigest.Of(bytes.AsSpan(0, bytes.Length / element * element), element, 1000));
        }
    }

    // Computed by a separate program from the definition.
    [Fact]
    public void The_digest_of_known_bytes_never_changes() =>
        Assert.Equal("693edea28872894dd4f6e0c952daec26:3", ContentDigest.Of([1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0], 4, 0).ToString());

    [Fact]
    public void Any_swap_or_flipped_bit_or_missing_zero_is_seen() =>
        Gen.Select(Gen.Float.Array[2, 50], Gen.Int[0, 1000], Gen.Int[0, 1000], Gen.Int[0, 31]).Sample((values, left, right, bit) =>
        {
            var bytes = System.Runtime.InteropServices.MemoryMarshal.AsBytes<float>(values).ToArray();
            var whole = ContentDigest.Of(bytes, 4, 0);
            (left, right) = (left % values.Length, right % values.Length);
            var flipped = bytes.ToArray();
            flipped[left * 4 + bit / 8] ^= (byte)(1 << bit % 8);
            Assert.NotEqual(whole, ContentDigest.Of(flipped, 4, 0));
            Assert.NotEqual(whole, ContentDigest.Of(bytes.AsSpan(4), 4, 1));
            Assert.NotEqual(whole, ContentDigest.Of(bytes, 4, 1));
            if (BitConverter.SingleToInt32Bits(values[left]) == BitConverter.SingleToInt32Bits(values[right])) return;
            (values[left], values[right]) = (values[right], values[left]);
            Assert.NotEqual(whole, ContentDigest.Of(System.Runtime.InteropServices.MemoryMarshal.AsBytes<float>(values), 4, 0));
        });

    [Fact]
    public void Text_comes_back() =>
        Gen.Select(Gen.ULong, Gen.ULong, Gen.Long[0, long.MaxValue]).Sample((a, b, elements) =>
            Assert.Equal(new ContentDigest(a, b, elements), ContentDigest.Parse(new ContentDigest(a, b, elements).ToString())));
}
