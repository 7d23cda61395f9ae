using CsCheck;
using Perennial.Core;
using Perennial.Data.Inspection;
using Perennial.Data.Orders;
using Perennial.Data.Preparation;
using Perennial.Data.Streams;

namespace Perennial.Data.Tests;

public sealed class SampleStreamTests : IDisposable
{
    private const int Time = 16;
    private readonly TemporaryFolder folder = new();
    private readonly DataOptions options;
    private readonly PreparedData data;

    public SampleStreamTests()
    {
        var plain = PreparationTests.Options(folder, folder.Write("a.txt", PreparationTests.Text(40)), folder.Write("b.txt", PreparationTests.Text(60, from: 100)));
        options = plain with { Sources = [plain.Sources[0] with { Weight = 3 }, plain.Sources[1]] };
        data = DataPreparation.Prepare(options, 1);
    }

    public void Dispose()
    {
        data.Dispose();
        folder.Dispose();
    }

    [Fact]
    public void Seeking_is_iterating() => Gen.Select(Gen.Int[0, 5000], Gen.Int[1, 40], Gen.ULong[0, 3]).Sample((first, rows, seed) =>
    {
        var whole = new SampleStream(data, options, Time, seed).Read(first, rows);
        var stream = new SampleStream(data, options, Time, seed);
        for (var row = rows - 1; row >= 0; row--)
        {
            var one = stream.Read(first + row, 1);
            Assert.Equal(whole.SampleIds[row], one.SampleIds[0]);
            Assert.Equal(whole.SampleIds[row], stream.SampleAt(first + row));
            Assert.Equal(whole.Inputs[(row * Time)..((row + 1) * Time)], one.Inputs);
            Assert.Equal(whole.Targets[(row * Time)..((row + 1) * Time)], one.Targets);
        }
    }, iter: 50);

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Every_source_is_seen_whole_before_anything_repeats(bool sequential)
    {
        var order = sequential ? new ComponentSpec<ISampleOrder>("sequential", typeof(SequentialOrder), null) : options.Order;
        var stream = new SampleStream(data, options with { Order = order }, Time, 5);
        var seen = new Dictionary<(int Source, long Epoch), List<long>>();
        for (var position = 0L; position < 3 * stream.SamplesPerEpoch; position++)
        {
            var (source, window, epoch) = stream.Locate(position);
            if (!seen.TryGetValue((source, epoch), out var list)) seen[(source, epoch)] = list = [];
            list.Add(window);
        }
        for (var source = 0; source < 2; source++)
        {
            var windows = (data.Train[source].Tokens - 1) / Time;
            foreach (var (key, list) in seen.Where(entry => entry.Key.Source == source && seen.ContainsKey((source, entry.Key.Epoch + 1))))
            {
                Assert.Equal(windows, list.Count);
                Assert.Equal(windows, list.Distinct().Count());
                if (sequential) Assert.Equal(list.Order(), list);
            }
        }
        if (!sequential) Assert.NotEqual(seen[(0, 0)], seen[(0, 1)]);
    }

    [Fact]
    public void Delivered_shares_are_told_beside_the_promised_ones()
    {
        var summary = DataSummary.Of(data, new SampleStream(data, options, Time, 5), 4096);
        Assert.Equal([0.75, 0.25], summary.Sources.Select(source => source.Promised));
        Assert.All(summary.Sources, source => Assert.InRange(source.Delivered - source.Promised, -2.0 / 4096, 2.0 / 4096));
        Assert.Equal(2, summary.ToJson()["sources"]!.AsArray().Count);
        Assert.InRange(summary.BytesPerToken, 1, 5);
    }

    [Fact]
    public void Held_out_documents_are_the_held_out_text()
    {
        var text = data.HeldOutDocuments().SelectMany(document => data.Tokenizer.Decode(document.Span)).ToArray();
        Assert.Equal(data.HeldOutText(), text);
        Assert.Equal(data.Statistics.Sum(source => source.HeldOutBytes), text.Length);
        Assert.Equal(data.Statistics.Sum(source => source.HeldOutDocuments), data.HeldOutDocuments().Count());
        Assert.All(data.HeldOutDocuments(), document => Assert.DoesNotContain(data.Tokenizer.EndOfText, document.ToArray()));
    }

    [Fact]
    public void Inspection_shows_where_a_window_comes_from()
    {
        var stream = new SampleStream(data, options, Time, 5);
        foreach (var window in DataInspector.Windows(data, stream, 10, 5))
        {
            Assert.Equal(Time, window.Ids.Count);
            Assert.All(window.Origins, origin => Assert.EndsWith(window.Source == 0 ? "a.txt" : "b.txt", origin.Path, StringComparison.Ordinal));
            Assert.Equal(stream.Read(window.Position, 1).SampleIds[0], window.SampleId);
        }
        var document = DataInspector.Documents(data, 1, heldOut: false, 2, 1).Single();
        var lines = File.ReadAllLines(document.Origin.Path);
        Assert.Equal(lines[document.Origin.Line - 1], document.Text);
        Assert.Equal(ExitCode.Usage, Assert.Throws<PerennialException>(() => DataInspector.Documents(data, 2, false, 0, 1).ToList()).Code);
    }

    [Fact]
    public void The_fingerprint_follows_what_the_stream_depends_on()
    {
        var fingerprint = new SampleStream(data, options, Time, 5).Fingerprint;
        Assert.Equal(fingerprint, new SampleStream(data, options, Time, 5).Fingerprint);
        Assert.NotEqual(fingerprint, new SampleStream(data, options, Time, 6).Fingerprint);
        Assert.NotEqual(fingerprint, new SampleStream(data, options, Time + 1, 5).Fingerprint);
        Assert.NotEqual(fingerprint, new SampleStream(data, options with { Sources = [options.Sources[0], options.Sources[1] with { Weight = 2 }] }, Time, 5).Fingerprint);
        Assert.NotEqual(fingerprint, new SampleStream(data, options with { Documents = DocumentBoundary.Separate }, Time, 5).Fingerprint);
    }

    [Fact]
    public void Scores_reach_an_order_as_means_over_windows()
    {
        var lines = string.Join('\n', Enumerable.Range(0, 50).Select(i => System.Text.Json.JsonSerializer.Serialize(new { text = $"A sentence about the number {i}.", stars = i })));
        var scored = PreparationTests.Options(folder, folder.Write("s.jsonl", lines)) with { Order = new ComponentSpec<ISampleOrder>("probe", typeof(ScoreProbe), null) };
        using var prepared = DataPreparation.Prepare(scored, 1);
        var stream = new SampleStream(prepared, scored, Time, 1);
        var means = prepared.Train[0].Scores("stars")!;
        Assert.Equal(means[0], stream.Locate(0).Window, 3.0); // the probe gives the first window's score, rounded
        var unscored = scored with { Sources = options.Sources };
        Assert.Contains("no score 'stars'", Assert.Throws<PerennialException>(() => new SampleStream(data, unscored, Time, 1)).Message, StringComparison.Ordinal);
    }

    /// <summary>An order whose answer is the first window's score.</summary>
    private sealed class ScoreProbe(OrderContext context) : ISampleOrder
    {
        private readonly IReadOnlyList<double> scores = context.Scores("stars");

        public long Window(long epoch, long position) => (long)Math.Round(scores[0]);
    }
}
