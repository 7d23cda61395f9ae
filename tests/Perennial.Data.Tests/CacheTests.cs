using Perennial.Core;
using Perennial.Data.Curation;
using Perennial.Data.Filters;
using Perennial.Data.Preparation;

namespace Perennial.Data.Tests;

public class CacheTests
{
    [Fact]
    public void Preparing_the_same_at_once_prepares_it_once_and_alike()
    {
        using var folder = new TemporaryFolder();
        var options = PreparationTests.Options(folder, folder.Write("a.txt", PreparationTests.Text(100)));
        var trained = 0;
        var prepared = Enumerable.Range(0, 4).AsParallel().WithDegreeOfParallelism(4).Select(_ => DataPreparation.Prepare(options, 1, line =>
        {
            if (line.StartsWith("training a tokenizer", StringComparison.Ordinal)) Interlocked.Increment(ref trained);
        })).ToList();
        Assert.Equal(1, trained);
        Assert.Single(prepared.Select(data => data.Train[0].Checksum).Distinct());
        foreach (var data in prepared) data.Dispose();
    }

    [Fact]
    public void A_task_whose_product_was_made_meanwhile_is_not_done_again()
    {
        using var folder = new TemporaryFolder();
        var product = Path.Combine(folder.Path, "product");
        var work = new WorkFolder(folder.Path, CancellationToken.None) { Product = product };
        Assert.Equal(1, work.Once("first", () => 1));
        Directory.CreateDirectory(product);
        Assert.Equal(1, work.Once("first", () => 2));
        // As where whoever made the product has cleared a result away already.
        Assert.Throws<IOException>(() => work.Once("second", () => 2));
    }

    [Fact]
    public void Two_preparations_give_the_same_bits()
    {
        using var folder = new TemporaryFolder();
        var options = PreparationTests.Options(folder, folder.Write("a.txt", PreparationTests.Text(300)));
        using var one = DataPreparation.Prepare(options, 1);
        using var other = DataPreparation.Prepare(options with { Cache = Path.Combine(folder.Path, "other") }, 1);
        Assert.Equal((one.Fingerprint, one.Train[0].Checksum, one.HeldOut[0].Checksum), (other.Fingerprint, other.Train[0].Checksum, other.HeldOut[0].Checksum));
    }

    [Fact]
    public void A_cancelled_preparation_is_taken_up_and_a_killed_one_is_cleared()
    {
        using var folder = new TemporaryFolder();
        var options = PreparationTests.Options(folder, folder.Write("a.txt", PreparationTests.Text(100)));
        string checksum;
        using (var whole = DataPreparation.Prepare(options with { Cache = Path.Combine(folder.Path, "other") }, 1)) checksum = whole.Train[0].Checksum;
        using var cancellation = new CancellationTokenSource();
        Assert.ThrowsAny<OperationCanceledException>(() => DataPreparation.Prepare(options, 1, line =>
        {
            if (line.StartsWith("training a tokenizer", StringComparison.Ordinal)) cancellation.Cancel();
        }, cancellation.Token));
        var work = Path.Combine(options.Cache!, SourceFingerprint.Of(options, 1) + DataPreparation.WorkSuffix);
        var finished = File.GetLastWriteTimeUtc(Path.Combine(work, "stage-0-00000.done"));
        var partial = Path.Combine(options.Cache!, SourceFingerprint.Of(options, 1) + ".partial");
        Directory.CreateDirectory(partial);
        File.WriteAllText(Path.Combine(partial, "train-0.tokens"), "half");
        using var data = DataPreparation.Prepare(options, 1, line =>
        {
            // What was finished is not done again.
            if (line.StartsWith("training a tokenizer", StringComparison.Ordinal)) Assert.Equal(finished, File.GetLastWriteTimeUtc(Path.Combine(work, "stage-0-00000.done")));
        });
        Assert.Equal(checksum, data.Train[0].Checksum);
        Assert.Equal([data.Folder], Directory.GetDirectories(options.Cache!));
    }

    [Fact]
    public void Runs_with_other_seeds_share_the_split_and_the_cache()
    {
        using var folder = new TemporaryFolder();
        var options = PreparationTests.Options(folder, folder.Write("a.txt", PreparationTests.Text(40)));
        Assert.Equal(SourceFingerprint.Of(options, 1), SourceFingerprint.Of(options, 2));
        Assert.NotEqual(SourceFingerprint.Of(options, 1), SourceFingerprint.Of(options with { SplitSeed = 3 }, 1));
        Assert.NotEqual(SourceFingerprint.Of(options, 1), SourceFingerprint.Of(options with { Holdout = 0.3 }, 1));
        var drawing = options with { Pipeline = [new ComponentSpec<IFilter>("drawing", typeof(DrawingFilter), null)] };
        Assert.NotEqual(SourceFingerprint.Of(drawing, 1), SourceFingerprint.Of(drawing, 2));
    }

    [Fact]
    public void An_unwritable_cache_is_a_failed_run_with_a_cure()
    {
        using var folder = new TemporaryFolder();
        var options = PreparationTests.Options(folder, folder.Write("a.txt", PreparationTests.Text(40))) with { Cache = folder.Write("file", "no folder") };
        var thrown = Assert.Throws<PerennialException>(() => DataPreparation.Prepare(options, 1));
        Assert.Equal(ExitCode.Failed, thrown.Code);
        Assert.Contains("data.cache", thrown.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Rejections_are_counted_by_filter_and_reason()
    {
        using var folder = new TemporaryFolder();
        var options = PreparationTests.Options(folder, folder.Write("a.txt", PreparationTests.Text(40))) with
        {
            Pipeline = [new ComponentSpec<IFilter>("length", typeof(LengthFilter), new LengthFilterOptions { Minimum = 25 })],
        };
        using var data = DataPreparation.Prepare(options, 1);
        var (reason, count) = Assert.Single(data.Statistics[0].Rejected);
        Assert.Equal("length: shorter than 25 bytes", reason);
        Assert.Equal(160, count + data.Statistics[0].Documents + data.Statistics[0].HeldOutDocuments);
        var none = options with { Pipeline = [new ComponentSpec<IFilter>("length", typeof(LengthFilter), new LengthFilterOptions { Minimum = 25_000 })] };
        Assert.Contains("length: shorter than 25000 bytes", Assert.Throws<PerennialException>(() => DataPreparation.Prepare(none, 1)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_small_corpus_keeps_one_document_apart_and_one_document_cannot_be_split()
    {
        using var folder = new TemporaryFolder();
        var options = PreparationTests.Options(folder, folder.Write("a.txt", "First paragraph here.\n\nSecond one there.\n\nThird one everywhere.")) with { Holdout = 0.0001 };
        using (var data = DataPreparation.Prepare(options, 1)) Assert.Equal((2, 1), (data.Statistics[0].Documents, data.Statistics[0].HeldOutDocuments));
        using (var data = DataPreparation.Prepare(options with { Holdout = 0 }, 1)) Assert.Equal((3, 0), (data.Statistics[0].Documents, data.Statistics[0].HeldOutDocuments));
        var single = PreparationTests.Options(folder, folder.Write("b.txt", "Only one."));
        Assert.Equal(ExitCode.Usage, Assert.Throws<PerennialException>(() => DataPreparation.Prepare(single, 1)).Code);
    }

    [Fact]
    public void Equal_documents_never_straddle_the_split()
    {
        using var folder = new TemporaryFolder();
        var text = string.Join("\n\n", Enumerable.Range(0, 60).Select(i => $"Paragraph number {i % 20} of a repetitive book."));
        var options = PreparationTests.Options(folder, folder.Write("a.txt", text)) with { Holdout = 0.3 };
        using var data = DataPreparation.Prepare(options, 1);
        Assert.Equal(0, data.Statistics[0].HeldOutDocuments % 3);
        Assert.InRange(data.Statistics[0].HeldOutDocuments, 3, 57);
    }

    /// <summary>A filter whose result depends on the run's seed.</summary>
    private sealed class DrawingFilter : IFilter
    {
        public DrawingFilter(FilterContext context) => _ = context;

        public FilterResult Apply(Document document, long index) => FilterResult.Keep(document);
    }
}
