using CsCheck;
using Perennial.Data.Orders;

namespace Perennial.Data.Tests;

public class PermutationTests
{
    [Fact]
    public void Is_a_bijection() =>
        Gen.Select(Gen.Long[1, 3000], Gen.ULong, Gen.ULong).Sample((length, seed, tweak) =>
        {
            var permutation = new Permutation(length, seed, tweak);
            var seen = new HashSet<long>();
            for (var i = 0L; i < length; i++)
            {
                Assert.InRange(permutation[i], 0, length - 1);
                Assert.True(seen.Add(permutation[i]));
            }
        }, iter: 100);

    [Fact]
    public void Large_domains_stay_inside() =>
        Gen.Select(Gen.Long[1L << 30, 1L << 46], Gen.ULong).Sample((length, seed) =>
        {
            var permutation = new Permutation(length, seed, 1);
            Assert.Equal(100, Enumerable.Range(0, 100).Select(i => permutation[length - 1 - i]).Distinct().Count());
        }, iter: 50);

    [Fact]
    public void Neighbours_are_torn_apart()
    {
        var permutation = new Permutation(10_000, 7, 0);
        var close = Enumerable.Range(0, 9_999).Count(i => Math.Abs(permutation[i] - permutation[i + 1]) < 10);
        Assert.InRange(close, 0, 60); // 20 expected
    }

    [Fact]
    public void Filling_gives_the_values_one_by_one() => Gen.Select(Gen.Long[1, 100_000], Gen.ULong, Gen.ULong, Gen.Int[0, 200]).Sample((length, seed, tweak, count) =>
    {
        var permutation = new Permutation(length, seed, tweak);
        count = (int)Math.Min(count, length);
        var filled = new long[count];
        var first = (length - count) / 2;
        permutation.Fill(first, filled);
        Assert.Equal(Enumerable.Range(0, count).Select(i => permutation[first + i]), filled);
    }, iter: 500);
}
