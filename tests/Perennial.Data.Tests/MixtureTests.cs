using CsCheck;
using Perennial.Data.Streams;

namespace Perennial.Data.Tests;

public class MixtureTests
{
    private static readonly Gen<double> Weight = Gen.OneOf(Gen.Double[0.01, 10], Gen.Double[1e-6, 1e-3], Gen.Const(0.0), Gen.Const(1.0));
    private static readonly Gen<double[]> Weights = Weight.Array[1, 6].Where(weights => weights.Sum() > 0);

    [Fact]
    public void Every_block_gives_every_source_its_share_within_one_sample_and_ranks_count_up() =>
        Gen.Select(Weights, Gen.ULong).Sample((weights, seed) =>
        {
            const int blocks = 6;
            var mixture = new MixtureSchedule(weights, seed);
            var next = new long[weights.Length];
            for (var block = 0; block < blocks; block++)
            {
                var before = (long[])next.Clone();
                for (var i = 0; i < MixtureSchedule.Block; i++)
                {
                    var (source, rank) = mixture.At(block * MixtureSchedule.Block + i);
                    Assert.Equal(next[source]++, rank);
                }
                for (var source = 0; source < weights.Length; source++)
                {
                    var promised = MixtureSchedule.Block * weights[source] / weights.Sum();
                    Assert.InRange(next[source] - before[source] - promised, -1.000001, 1.000001);
                    Assert.Equal(next[source], mixture.Delivered(source, (block + 1L) * MixtureSchedule.Block));
                }
            }
        }, iter: 60);

    [Fact]
    public void Over_any_length_shares_are_exact_to_a_few_samples() =>
        Gen.Select(Weights, Gen.ULong, Gen.Long[1, 1L << 30]).Sample((weights, seed, blocks) =>
        {
            var mixture = new MixtureSchedule(weights, seed);
            var positions = blocks * MixtureSchedule.Block;
            for (var source = 0; source < weights.Length; source++)
            {
                var promised = positions * (weights[source] / weights.Sum());
                // Two bounds of log2(n)/3 + 1 each, and the rounding of weights to 2^-40 of a sample a block.
                Assert.InRange(mixture.Delivered(source, positions) - promised, -2 * (Math.Log2(blocks) / 3 + 1) - 1, 2 * (Math.Log2(blocks) / 3 + 1) + 1);
            }
            Assert.Equal(positions, Enumerable.Range(0, weights.Length).Sum(source => mixture.Delivered(source, positions)));
        }, iter: 300);

    [Fact]
    public void Seeking_is_iterating() =>
        Gen.Select(Weights, Gen.ULong, Gen.Long[0, 1L << 44]).Sample((weights, seed, position) =>
        {
            var (one, other) = (new MixtureSchedule(weights, seed), new MixtureSchedule(weights, seed));
            _ = other.At(0);
            _ = other.At(position + 5000);
            var (source, rank) = one.At(position);
            Assert.Equal((source, rank), other.At(position));
            Assert.Equal(rank, one.Delivered(source, position));
        }, iter: 200);

    [Fact]
    public void A_source_without_weight_gives_nothing_wherever_it_stands()
    {
        foreach (var weights in new double[][] { [0.3, 0.7, 0.0], [0.0, 0.3, 0.7], [0.1, 0.0, 0.2], [0.0, 1.0, 0.0] })
        {
            var mixture = new MixtureSchedule(weights, 3);
            Assert.All(Enumerable.Range(0, 5000), position => Assert.NotEqual(0, weights[mixture.At(position).Source]));
        }
    }

    [Fact]
    public void Position_after_is_the_first_block_end_with_enough() =>
        Gen.Select(Gen.Double[0.01, 1], Gen.Long[1, 1_000_000]).Sample((weight, samples) =>
        {
            var mixture = new MixtureSchedule([weight, 1], 9);
            var position = mixture.PositionAfter(0, samples);
            Assert.True(mixture.Delivered(0, position) >= samples);
            Assert.True(mixture.Delivered(0, position - MixtureSchedule.Block) < samples);
        }, iter: 100);
}
