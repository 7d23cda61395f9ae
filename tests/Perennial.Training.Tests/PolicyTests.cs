using CsCheck;
using Perennial.Tensors;
using Perennial.Training.Parallel;
using Perennial.Training.Parallel.Policies;
using static TorchSharp.torch;

namespace Perennial.Training.Tests;

public class PolicyTests
{
    private static readonly Gen<ShareInput> Inputs =
        from rows in Gen.Int[1, 40]
        from unit in Gen.Int[1, 4]
        from micro in Gen.Int[1, 6]
        from world in Gen.Int[1, 6]
        from places in Gen.Shuffle(Enumerable.Range(0, 7).ToArray(), 1, 7)
        from speeds in Gen.Double[0.3, 3].Array[places.Length]
        select new ShareInput(rows, unit, micro, world, places, speeds);

    private static List<int> Rows(StepShares shares) => [.. shares.ByRank.SelectMany(ranges => ranges).SelectMany(range => Enumerable.Range(range.Start.Value, range.End.Value - range.Start.Value))];

    private static readonly ILossPolicy[] Policies = [new ElasticPolicy(), new ReroutePolicy(), new DropReplicaPolicy(), new RestartAllPolicy()];

    [Fact]
    public void No_row_is_computed_twice_and_only_drop_replica_loses_any() => Inputs.Sample(who =>
    {
        foreach (var policy in Policies)
        {
            var shares = policy.Share(who);
            var rows = Rows(shares);
            Assert.Equal(who.Places.Count, shares.ByRank.Count);
            Assert.Equal(rows.Count, rows.Distinct().Count());
            Assert.Equal(rows.Count, shares.Rows);
            Assert.All(shares.ByRank.SelectMany(ranges => ranges), range => Assert.True(range.Start.Value < range.End.Value && range.Start.Value % who.Unit == 0 && (range.End.Value % who.Unit == 0 || range.End.Value == who.Rows)));
            var everyoneIsHere = Enumerable.Range(0, who.World).All(who.Places.Contains);
            if (policy is not DropReplicaPolicy || everyoneIsHere) Assert.Equal(Enumerable.Range(0, who.Rows), rows.Order());
        }
    }, iter: 300, threads: 1);

    [Fact]
    public void Elastic_is_never_longer_than_rerouting_at_equal_speeds() => Inputs.Sample(who =>
    {
        who = who with { Speeds = [.. who.Places.Select(_ => 1.0)], Unit = 1 };
        int Longest(ILossPolicy policy) => Enumerable.Range(0, who.Places.Count).Max(policy.Share(who).Count);
        Assert.True(Longest(new ElasticPolicy()) <= Longest(new ReroutePolicy()));
    }, iter: 200, threads: 1);

    [Fact]
    public void Whole_micro_batches_leave_a_bubble_that_rows_do_not()
    {
        // Four processes of four rows in micro-batches of four; one is lost.
        var who = new ShareInput(16, 1, 4, 4, [0, 1, 3], [1, 1, 1]);
        Assert.Equal([6, 5, 5], Enumerable.Range(0, 3).Select(new ElasticPolicy().Share(who).Count));
        Assert.Equal([8, 4, 4], Enumerable.Range(0, 3).Select(new ReroutePolicy().Share(who).Count));
        Assert.Equal([4, 4, 4], Enumerable.Range(0, 3).Select(new DropReplicaPolicy().Share(who).Count));
    }

    [Fact]
    public void A_process_of_half_the_speed_gets_half_the_rows_once_that_is_sure()
    {
        var paces = new Paces();
        double[] Speeds() => [paces.Of(10), paces.Of(11), paces.Of(12)];
        for (var step = 0; step < 15; step++) paces.Add([(10, 0.01), (11, 0.02), (12, 0.01)]);
        Assert.Equal([1, 1, 1], Speeds());
        paces.Add([(10, 0.01), (11, 0.02), (12, 0.01)]);
        Assert.Equal([1.2, 0.6, 1.2], Speeds());
        Assert.Equal([8, 4, 8], Enumerable.Range(0, 3).Select(new ElasticPolicy().Share(new ShareInput(20, 1, 4, 3, [0, 1, 2], Speeds())).Count));
        // A tenth more or less is noise.
        for (var step = 0; step < 40; step++) paces.Add([(10, 0.011), (11, 0.02), (12, 0.0095)]);
        Assert.Equal([1.2, 0.6, 1.2], Speeds());
        // Another membership: a newcomer knows nothing, so nobody does.
        paces.Clear();
        Assert.Equal([1, 1, 1], Speeds());
    }

    [Fact]
    public void Exact_sums_do_not_depend_on_order_or_grouping() => Gen.Select(Gen.Int[1, 70], Gen.Int[2, 9], Gen.Int[1, 8], Gen.Int).Sample((length, blocks, cut, seed) =>
    {
        TorchRuntime.EnsureLoaded();
        using var scope = NewDisposeScope();
        var random = new Random(seed);
        var gradients = Enumerable.Range(0, blocks).Select(_ => tensor(Enumerable.Range(0, length).Select(_ => (float)((random.NextDouble() - 0.5) * Math.Pow(10, random.Next(-6, 3)))).ToArray())).ToList();
        float[] Sum(IEnumerable<int> order, int split, out double loss)
        {
            // Two processes, each with some of the blocks; their sums are added as integers.
            using ExactSums one = new(length, blocks), two = new(length, blocks);
            one.Clear();
            two.Clear();
            foreach (var (block, place) in order.Select((block, place) => (block, place)))
            {
                var mine = place < split ? one : two;
                // In two stretches, as buckets take it.
                mine.Add(gradients[block], new(length / 3, length));
                mine.Add(gradients[block], new(0, length / 3));
                mine.AddLoss(block / 7.0);
            }
            unsafe
            {
                for (var i = 0; i < length; i++) ((long*)one.Address)[i] += ((long*)two.Address)[i];
            }
            for (var i = 0; i < 2; i++) one.Tail[i] += two.Tail[i];
            using var result = zeros(length);
            loss = one.Read(result);
            return result.data<float>().ToArray();
        }
        var expected = Sum(Enumerable.Range(0, blocks), blocks, out var all);
        var shuffled = Sum(Enumerable.Range(0, blocks).OrderBy(_ => random.Next()), Math.Min(cut, blocks), out var parts);
        Assert.Equal(expected, shuffled);
        Assert.Equal(all, parts);
        for (var i = 0; i < length; i++) Assert.Equal(gradients.Sum(block => (double)block[i].item<float>()), expected[i], 1e-4);
    }, iter: 60, threads: 1);

    [Theory]
    [InlineData(float.NaN, 0)]
    [InlineData(float.PositiveInfinity, 0)]
    [InlineData(1e7f, 0)]
    [InlineData(0f, double.NaN)]
    public void What_cannot_be_added_makes_the_sum_not_a_number(float value, double loss)
    {
        TorchRuntime.EnsureLoaded();
        using var scope = NewDisposeScope();
        using var sums = new ExactSums(20, 4);
        sums.Clear();
        sums.Add(zeros(20));
        sums.AddLoss(1);
        var gradients = zeros(20);
        gradients[19] = value;
        sums.Add(gradients);
        sums.AddLoss(loss);
        Assert.True(double.IsNaN(sums.Read(gradients)));
        Assert.True(float.IsNaN(gradients[0].item<float>()));
        sums.Clear();
        sums.Add(ones(20));
        sums.AddLoss(0.5);
        Assert.Equal(0.5, sums.Read(gradients));
        Assert.Equal(1f, gradients[7].item<float>());
    }
}
