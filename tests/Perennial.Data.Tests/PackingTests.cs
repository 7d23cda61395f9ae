using CsCheck;
using Perennial.Core;
using Perennial.Data.Inspection;
using Perennial.Data.Preparation;
using Perennial.Data.Streams;

namespace Perennial.Data.Tests;

public sealed class PackingTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    private DataOptions Options(IEnumerable<string> texts, string name) => PreparationTests.Options(folder, folder.Write($"{name}.jsonl", string.Join('\n', texts.Select((text, i) => System.Text.Json.JsonSerializer.Serialize(new { text, rank = i }))))) with
    {
        Tokenizer = new TokenizerOptions { Vocabulary = 257 },
        Holdout = 0.1,
        Packing = PackingKind.BestFit,
        Documents = DocumentBoundary.Separate,
    };

    [Fact]
    public void Best_fit_keeps_documents_whole_and_teaches_every_token_once() => Gen.Select(Gen.Int[1, 70].Array[4, 60], Gen.Int[3, 40], Gen.Int[0, 1_000_000]).Sample((lengths, time, number) =>
    {
        var options = Options(lengths.Select((length, i) => new string((char)('a' + i % 26), length) + i), $"t{number}-{time}-{lengths.Length}");
        using var data = DataPreparation.Prepare(options, 1);
        var shard = data.Train[0];
        var stream = new SampleStream(data, options, time, 1);
        var (windows, padding) = stream.Packed(0);
        var taught = new Dictionary<long, List<long>>();
        var (places, used) = (0L, 0L);
        for (var window = 0L; window < windows; window++)
        {
            var batch = stream.ReadSamples([window]);
            var documents = stream.DocumentsOf(0, window).ToList();
            for (var t = 0; t < time; t++)
            {
                places++;
                if (batch.Targets[t] == TokenBatch.Ignored)
                {
                    Assert.Equal(data.Tokenizer.EndOfText, batch.Inputs[t]);
                    continue;
                }
                used++;
                var document = documents[batch.Segments![t]];
                if (!taught.TryGetValue(document, out var ids)) taught[document] = ids = [];
                // A document that fits a window is in one piece, behind an end-of-text.
                if (ids.Count == 0) Assert.Equal(data.Tokenizer.EndOfText, batch.Inputs[t]);
                else if (t > 0 && batch.Segments[t - 1] == batch.Segments[t]) Assert.Equal(ids[^1], batch.Inputs[t]);
                ids.Add(batch.Targets[t]);
            }
            foreach (var document in documents) Assert.True(shard.DocumentStart(document + 1) - shard.DocumentStart(document) > time || taught[document].Count == shard.DocumentStart(document + 1) - shard.DocumentStart(document));
        }
        for (var document = 0L; document < shard.Documents; document++)
        {
            var whole = new long[shard.DocumentStart(document + 1) - shard.DocumentStart(document)];
            shard.Read(shard.DocumentStart(document), whole);
            // Pieces of a long document may stand in any windows: as many tokens, none twice.
            Assert.Equal(whole.Order(), taught[document].Order());
        }
        Assert.Equal((places - used) / (double)places, padding, 1e-12);
        // Two windows that are less than half full would have been one.
        Assert.InRange(windows, Math.Ceiling(used / (double)time), 2 * used / (double)time + 1);
    }, iter: 25);

    [Fact]
    public void Scores_identities_and_waste_are_those_of_packed_windows()
    {
        var options = Options(Enumerable.Range(0, 60).Select(i => $"document number {i}"), "scored") with { Order = new ComponentSpec<ISampleOrder>("curriculum", typeof(Orders.CurriculumOrder), new Orders.CurriculumOrderOptions { By = "rank", Window = 0 }) };
        using var data = DataPreparation.Prepare(options, 1);
        var stream = new SampleStream(data, options, 48, 1);
        var ranks = data.Train[0].Scores("rank")!;
        double Mean(long window) => stream.DocumentsOf(0, window).Average(document => ranks[document]);
        Assert.Equal(Enumerable.Range(0, (int)stream.Packed(0).Windows).Select(position => Mean(stream.Locate(position).Window)).Order(), Enumerable.Range(0, (int)stream.Packed(0).Windows).Select(position => Mean(stream.Locate(position).Window)), (a, b) => Math.Abs(a - b) < 1.5);
        Assert.All(DataInspector.Windows(data, stream, 0, 5), window => Assert.InRange(window.Origins.Count, 1, 2));
        Assert.InRange(DataSummary.Of(data, stream).Sources[0].Padding, 0.05, 0.3);
        Assert.NotEqual(stream.Fingerprint, new SampleStream(data, options with { Packing = PackingKind.Chunk }, 48, 1).Fingerprint);
    }

    [Theory]
    [InlineData(PackingKind.Chunk)]
    [InlineData(PackingKind.BestFit)]
    public void Only_answers_are_taught(PackingKind packing)
    {
        var options = Options(Enumerable.Range(0, 80).Select(i => i % 10 == 9 ? $"no question {i}" : $"what is {i} and a=b?={i}"), "answers") with { Packing = packing, Answers = "?=" };
        using var data = DataPreparation.Prepare(options, 1);
        var stream = new SampleStream(data, options, 32, 1);
        var taught = new List<long>();
        for (var window = 0L; window < stream.Packed(0).Windows; window++) taught.AddRange(stream.ReadSamples([window]).Targets.Where(target => target != TokenBatch.Ignored));
        var expected = Enumerable.Range(0, (int)data.Train[0].Documents).SelectMany(document =>
        {
            var text = System.Text.Encoding.UTF8.GetString(data.Tokenizer.Decode(data.Train[0].Document(document)));
            return text.LastIndexOf("?=", StringComparison.Ordinal) is var at and >= 0 ? text[(at + 2)..].Select(digit => (long)digit) : [];
        }).ToList();
        // Chunks leave out what does not fill the last window.
        Assert.InRange(taught.Count, expected.Count - (packing == PackingKind.Chunk ? 4 : 0), expected.Count);
        Assert.All(taught, id => Assert.InRange((char)id, '0', '9'));
        if (packing == PackingKind.BestFit) Assert.Equal(expected.Order(), taught.Order());
    }
}
