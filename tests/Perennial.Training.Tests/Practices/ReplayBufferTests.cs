using System.Text.Json.Nodes;
using Perennial.Data;
using Perennial.Training.Practices;

namespace Perennial.Training.Tests.Practices;

public class ReplayBufferTests
{
    // Sample n of stage s is called 1000 s + n, of source s.
    private sealed class Names : IPracticeServices
    {
        public long SampleAt(int stage, long position) => Id(stage, position);

        public void Evaluate(string weights) => throw new NotSupportedException();

        public void Notify(string level, string message) => throw new NotSupportedException();

        public void Measure(string what, IReadOnlyDictionary<string, double> figures) => throw new NotSupportedException();

        public TokenBatch ReadSamples(IReadOnlyList<long> ids) => throw new NotSupportedException();

        public TokenBatch ReadStage(long position, int rows) => throw new NotSupportedException();

        public double Backward(TokenBatch batch) => throw new NotSupportedException();
    }

    private static long Id(int stage, long position) => (long)stage << 48 | position;

    private static void Fill(IReplayBuffer buffer, int stage, int count, int batch = 4, int skip = -1)
    {
        for (var first = 0L; first < count; first += batch)
            if (first != skip) buffer.Add(stage, first, [.. Enumerable.Range(0, batch).Select(i => Id(stage, first + i))]);
    }

    private static List<long> Draws(IReplayBuffer buffer, int limit, int count) => [.. buffer.Draw(limit, [.. Enumerable.Range(0, count).Select(i => (i + 0.5) / count)], new Names())];

    [Fact]
    public void A_buffer_that_keeps_all_gives_every_committed_sample_once_and_no_other()
    {
        var buffer = new SeenPositions(balanced: false);
        Fill(buffer, 0, 40, skip: 12);
        Fill(buffer, 1, 24);
        Assert.False(buffer.HasAny(0));
        Assert.Equal(Enumerable.Range(0, 40).Where(i => i is < 12 or > 15).Select(i => Id(0, i)), Draws(buffer, 1, 36));
        Assert.Equal(60, Draws(buffer, 2, 60).Distinct().Count());
        // Across a save, and with stages drawn alike.
        var again = new SeenPositions(balanced: true);
        again.Load((JsonObject)JsonNode.Parse(buffer.Save().ToJsonString())!);
        Assert.Equal(buffer.Save().ToJsonString(), again.Save().ToJsonString());
        Assert.Equal(500, Draws(again, 2, 1000).Count(id => id >> 48 == 1));
    }

    [Fact]
    public void A_reservoir_is_a_uniform_sample_and_resumes()
    {
        const int capacity = 64, offered = 640;
        var kept = new int[offered];
        for (ulong seed = 0; seed < 60; seed++)
        {
            using var whole = new Reservoir(capacity, 1, seed);
            Fill(whole, 0, offered);
            foreach (var id in Draws(whole, 1, capacity)) kept[id]++;
            using var half = new Reservoir(capacity, 1, seed);
            Fill(half, 0, 320);
            using var resumed = new Reservoir(capacity, 1, seed);
            foreach (var (from, to) in half.Slots.Zip(resumed.Slots)) to.Values.copy_(from.Values);
            resumed.Load((JsonObject)JsonNode.Parse(half.Save().ToJsonString())!);
            for (var first = 320L; first < offered; first += 4) resumed.Add(0, first, [.. Enumerable.Range(0, 4).Select(i => Id(0, first + i))]);
            Assert.Equal(Draws(whole, 1, capacity), Draws(resumed, 1, capacity));
        }
        // Each is kept 6 times of 60 in the mean; the chi-square of 640 such counts is 640·0.9 ± 6 standard deviations of √(2·640)·0.9.
        var chi = kept.Sum(count => Math.Pow(count - 6, 2) / 6);
        Assert.InRange(chi, 640 * 0.9 - 6 * 35.8 * 0.9, 640 * 0.9 + 6 * 35.8 * 0.9);
    }

    [Fact]
    public void Equal_shares_of_every_source_however_long_it_was()
    {
        using var buffer = new Reservoir(40, 2, 3);
        Fill(buffer, 0, 400);
        Fill(buffer, 1, 12);
        Assert.Equal(50, Draws(buffer, 2, 100).Count(id => id >> 48 == 1));
        Assert.All(Draws(buffer, 1, 20), id => Assert.Equal(0, id >> 48));
    }
}
