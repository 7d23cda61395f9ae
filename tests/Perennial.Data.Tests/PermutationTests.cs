using CsCheck;
using Perennial.Data.Orders;
using Perennial.Data.Streams;

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
    public void Mixtures_deliver_what_they_promise_and_rank_without_gaps() =>
        Gen.Select(Gen.Double[0.01, 10].Array[2, 5], Gen.ULong).Sample((weights, seed) =>
        {
            var mixture = new MixtureSchedule(weights, seed);
            var next = new long[weights.Length];
            var ranks = weights.Select(_ => new HashSet<long>()).ToArray();
            for (var position = 0L; position < 4 * MixtureSchedule.Block; position++)
            {
                var (source, rank) = mixture.At(position);
                Assert.True(ranks[source].Add(rank));
                next[source]++;
            }
            for (var source = 0; source < weights.Length; source++)
            {
                Assert.InRange(next[source] - 4.0 * MixtureSchedule.Block * weights[source] / weights.Sum(), -1.001, 1.001);
                if (next[source] > 0) Assert.Equal(next[source] - 1, ranks[source].Max());
                Assert.Equal(next[source], mixture.Delivered(source, 4 * MixtureSchedule.Block));
            }
        }, iter: 30);

    [Fact]
    public void A_source_without_weight_gives_nothing()
    {
        var mixture = new MixtureSchedule([0.3, 0.7, 0.0], 3);
        Assert.All(Enumerable.Range(0, 5000), position => Assert.NotEqual(2, mixture.At(position).Source));
    }
}
