using CsCheck;
using Perennial.Core;
using Perennial.Data.Injection;
using Perennial.Data.Inspection;
using Perennial.Data.Mixtures;
using Perennial.Data.Preparation;
using Perennial.Data.Streams;

namespace Perennial.Data.Tests;

public sealed class InjectionTests : IDisposable
{
    private const int Time = 32;
    private readonly TemporaryFolder folder = new();
    private readonly DataOptions options;
    private readonly PreparedData data;
    private readonly RunShape run = new(8, 50, Time);

    public InjectionTests()
    {
        options = PreparationTests.Options(folder, folder.Write("a.txt", PreparationTests.Text(80)));
        data = DataPreparation.Prepare(options, 1);
    }

    public void Dispose()
    {
        data.Dispose();
        folder.Dispose();
    }

    private InjectionOptions Experiment(string name, int texts, double repeat = 1, int length = 6) => new()
    {
        Name = name, Repeat = repeat, Path = folder.Write($"{name}.jsonl", string.Join('\n', Enumerable.Range(0, texts).Select(i => System.Text.Json.JsonSerializer.Serialize(new { text = $"{new string('z', length)}{name}{i}" })))),
    };

    private SampleStream Stream(DocumentBoundary boundary, params InjectionOptions[] experiments) => new(data, options with { Injections = experiments, Documents = boundary }, Time, 1, run);

    [Theory]
    [InlineData(DocumentBoundary.Crossing)]
    [InlineData(DocumentBoundary.Separate)]
    public void Planted_text_replaces_what_stood_there_and_nothing_else_moves(DocumentBoundary boundary)
    {
        var (plain, planted) = (Stream(boundary), Stream(boundary, Experiment("one", 5, 4), Experiment("two", 7, 3)));
        Assert.Equal([20, 21], planted.Injections!.Copies);
        var found = new Dictionary<(int, int), int>();
        for (var position = 0L; position < run.Samples; position++)
        {
            var (before, after) = (plain.Read(position, 1), planted.Read(position, 1));
            Assert.Equal(before.SampleIds, after.SampleIds);
            var there = planted.Injections.At(position);
            if (there.Count == 0)
            {
                Assert.Equal(before.Inputs, after.Inputs);
                Assert.Equal(before.Targets, after.Targets);
                Assert.Equal(before.Segments, after.Segments);
                continue;
            }
            var covered = new bool[Time];
            foreach (var one in there)
            {
                Assert.Equal(one.Ids.Select(id => (long)id), after.Inputs[one.Offset..(one.Offset + one.Ids.Count)]);
                Assert.Equal(one.Ids.Skip(1).Select(id => (long)id), after.Targets[one.Offset..(one.Offset + one.Ids.Count - 1)]);
                for (var t = one.Offset; t < one.Offset + one.Ids.Count; t++)
                {
                    Assert.False(covered[t]);
                    covered[t] = true;
                }
                found[(one.Experiment, one.Text)] = found.GetValueOrDefault((one.Experiment, one.Text)) + 1;
                if (boundary == DocumentBoundary.Separate) Assert.Single(after.Segments![one.Offset..(one.Offset + one.Ids.Count)].Distinct());
            }
            for (var t = 0; t < Time; t++)
            {
                if (!covered[t]) Assert.Equal(before.Inputs[t], after.Inputs[t]);
                if (!covered[t] && (t + 1 == Time || !covered[t + 1])) Assert.Equal(before.Targets[t], after.Targets[t]);
            }
            if (boundary == DocumentBoundary.Separate)
            {
                // Attention never reaches from one stretch into another: a number's places are one run.
                for (var t = 1; t < Time; t++) Assert.InRange(after.Segments![t] - after.Segments[t - 1], 0, 1);
                for (var t = 1; t < Time; t++) if (covered[t] != covered[t - 1]) Assert.NotEqual(after.Segments![t], after.Segments[t - 1]);
            }
        }
        Assert.All(found, pair => Assert.Equal(pair.Key.Item1 == 0 ? 4 : 3, pair.Value));
    }

    [Fact]
    public void Places_do_not_depend_on_other_experiments_but_where_they_collide()
    {
        var (alone, together) = (Stream(DocumentBoundary.Crossing, Experiment("one", 5, 4)), Stream(DocumentBoundary.Crossing, Experiment("one", 5, 4), Experiment("two", 2, 3)));
        IEnumerable<(long, int, int)> Places(SampleStream stream) => stream.Injections!.Positions.SelectMany(position => stream.Injections.At(position).Where(one => one.Experiment == 0).Select(one => (position, one.Text, one.Offset)));
        Assert.Equal(Places(alone), Places(together));
        Assert.NotEqual(alone.Fingerprint, together.Fingerprint);
    }

    [Fact]
    public void Stretches_positions_and_fractions_are_kept()
    {
        var late = Experiment("late", 10, 2);
        late = late with { From = new(0.5, RunUnit.Fraction) };
        var stream = Stream(DocumentBoundary.Crossing, late, Experiment("exact", 3) with { Positions = [7, 9, 7] }, Experiment("some", 200, 0.25));
        Assert.All(stream.Injections!.Positions.Where(position => stream.Injections.At(position).Any(one => one.Experiment == 0)), position => Assert.InRange(position, run.Samples / 2, run.Samples - 1));
        Assert.Equal([2, 1], new long[] { 7, 9 }.Select(position => stream.Injections.At(position).Count(one => one.Experiment == 1)));
        Assert.InRange(stream.Injections.Copies[2], 30, 70);
        var seen = DataInspector.Samples(data, stream, 7, 8).Single();
        Assert.Equal(2, seen.Planted.Count(one => one.Experiment == 1));
    }

    [Fact]
    public void What_cannot_be_planted_is_counted_or_refused()
    {
        Assert.Equal([3], Stream(DocumentBoundary.Crossing, Experiment("long", 3, 1, 400)).Injections!.Dropped);
        Assert.Contains("no room", Assert.Throws<PerennialException>(() => Stream(DocumentBoundary.Crossing, Experiment("full", 400, 40, 1))).Message, StringComparison.Ordinal);
        Assert.Contains("twice", Assert.Throws<PerennialException>(() => Stream(DocumentBoundary.Crossing, Experiment("same", 1), Experiment("same", 1))).Message, StringComparison.Ordinal);
        Assert.Contains("positions", Assert.Throws<PerennialException>(() => Stream(DocumentBoundary.Crossing, Experiment("few", 3) with { Positions = [1] })).Message, StringComparison.Ordinal);
    }
}
