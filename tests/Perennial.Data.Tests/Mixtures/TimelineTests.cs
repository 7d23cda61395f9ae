using CsCheck;
using Perennial.Data.Mixtures;

namespace Perennial.Data.Tests.Mixtures;

public class TimelineTests
{
    private static readonly Gen<(double[][] Weights, int[] Lengths)> Chains = Gen.Select(Gen.Int[1, 5], Gen.Int[1, 8]).SelectMany((sources, stretches) => Gen.Select(
        Gen.Double[0, 3].Array[sources].Where(weights => weights.Sum() > 0.1).Array[stretches], Gen.Int[1, 3000].Array[stretches]));

    private static MixtureTimeline Make((double[][] Weights, int[] Lengths) chain, ulong seed, bool open)
    {
        var timeline = new MixtureTimeline(chain.Weights[0].Length, seed);
        for (var i = 0; i < chain.Lengths.Length; i++)
            timeline.Add(new MixtureSegment(timeline.End, open && i == chain.Lengths.Length - 1 ? long.MaxValue : timeline.End + chain.Lengths[i], chain.Weights[i]));
        return timeline;
    }

    [Fact]
    public void Ranks_count_up_over_stretches_and_delivered_is_their_number() => Gen.Select(Chains, Gen.ULong).Sample((chain, seed) =>
    {
        var timeline = Make(chain, seed, open: false);
        var next = new long[chain.Weights[0].Length];
        for (var position = 0L; position < timeline.End; position++)
        {
            if (position % 97 == 0) Assert.Equal(next, timeline.Delivered(position));
            var (source, rank) = timeline.At(position);
            Assert.Equal(next[source]++, rank);
        }
        Assert.Equal(next, timeline.Delivered(timeline.End));
        var promised = timeline.Promised(timeline.End);
        // Every block rounds each source to within one sample.
        var blocks = chain.Lengths.Sum(length => (length + 1023) / 1024);
        for (var source = 0; source < next.Length; source++) Assert.InRange(next[source] - promised[source], -blocks - 1.0, blocks + 1.0);
    }, iter: 40);

    [Fact]
    public void Seeking_is_iterating() => Gen.Select(Chains, Gen.ULong, Gen.Double[0, 1], Gen.Bool).Sample((chain, seed, where, open) =>
    {
        var (one, other) = (Make(chain, seed, open), Make(chain, seed, open));
        var position = (long)(where * (Math.Min(one.End, 100_000) - 1));
        for (var before = Math.Max(0, position - 50); before < position; before++) _ = other.At(before);
        Assert.Equal(one.At(position), other.At(position));
        Assert.Equal(one.At(position).Rank, one.Delivered(position)[one.At(position).Source]);
    }, iter: 100);

    [Fact]
    public void A_small_weight_is_not_starved_by_short_stretches()
    {
        // 200 stretches of 30 samples that each promise 0.6 of a sample to source 1.
        var timeline = new MixtureTimeline(2, 7);
        for (var i = 0; i < 200; i++) timeline.Add(new MixtureSegment(timeline.End, timeline.End + 30, [0.98, 0.02]));
        Assert.InRange(timeline.Delivered(timeline.End)[1], 115, 125);
    }

    [Fact]
    public void Bad_stretches_are_refused()
    {
        var timeline = new MixtureTimeline(2, 7);
        timeline.Add(new MixtureSegment(0, 10, [1, 1]));
        Assert.Throws<ArgumentException>(() => timeline.Add(new MixtureSegment(11, 20, [1, 1])));
        Assert.Throws<ArgumentException>(() => timeline.Add(new MixtureSegment(10, 10, [1, 1])));
        Assert.Throws<ArgumentException>(() => timeline.Add(new MixtureSegment(10, 20, [1])));
        Assert.Throws<ArgumentException>(() => timeline.Add(new MixtureSegment(10, 20, [0, 0])));
        Assert.Throws<ArgumentOutOfRangeException>(() => timeline.At(10));
    }
}
