using System.Text.RegularExpressions;
using Perennial.Core;
using Perennial.Evaluation.Events;
using Perennial.Evaluation.Reports;
using Perennial.Training;

namespace Perennial.Evaluation.Tests;

public partial class ReportTests
{
    [Fact]
    public void The_page_needs_nothing_but_itself()
    {
        var page = RunReport.Render(History("run"));
        Assert.DoesNotMatch(External(), page);
        Assert.DoesNotContain("@import", page, StringComparison.Ordinal);
        Assert.Contains("default-src 'none'", page, StringComparison.Ordinal);
    }

    [Fact]
    public void Every_curve_has_its_points()
    {
        var page = RunReport.Render(History("run"));
        foreach (var id in new[] { "held-out", "loss", "rate", "speed", "gradient-norm" })
        {
            var svg = Regex.Match(page, $"<svg id=\"{id}\".*?</svg>", RegexOptions.Singleline).Value;
            var points = Regex.Match(svg, "<polyline points=\"([^\"]+)\"").Groups[1].Value;
            Assert.True(points.Split(' ').Length >= 4, id);
        }
        Assert.Contains("gzip -9 2.930", page, StringComparison.Ordinal);
        Assert.Contains("no xz program on the PATH", page, StringComparison.Ordinal);
    }

    [Fact]
    public void Foreign_text_cannot_become_markup()
    {
        var history = History("run");
        history.Add(new SampleWritten(40, "<script>alert(1)</script>", "</blockquote>&amp;"));
        history.Add(new Notice("warning", "<b>bold</b>"));
        var page = RunReport.Render(history);
        Assert.DoesNotContain("<script>alert", page, StringComparison.Ordinal);
        Assert.DoesNotContain("<b>bold</b>", page, StringComparison.Ordinal);
        Assert.Contains("A &lt;fast&gt; one", page, StringComparison.Ordinal);
    }

    [Fact]
    public void The_body_is_as_it_was()
    {
        var page = RunReport.Render(History("run"));
        var body = page[page.IndexOf("<main>", StringComparison.Ordinal)..page.IndexOf("</main>", StringComparison.Ordinal)];
        Golden.Check("report-body.html", Regex.Replace(body, "<svg.*?</svg>", "<svg/>", RegexOptions.Singleline).Replace("><", ">\n<", StringComparison.Ordinal) + "\n");
    }

    [Theory]
    [InlineData(1.9, "Finished 40 steps: 1.900 bits per byte on text it never saw, 35.2 % below gzip -9 (2.930).")]
    [InlineData(3.1, "Finished 40 steps: 3.100 bits per byte on text it never saw; gzip -9 still needs less (2.930).")]
    public void The_verdict_says_how_it_compares(double bits, string verdict)
    {
        var history = History("run");
        history.Add(new EvaluationDone(40, "bits-per-byte", "raw", new Dictionary<string, double> { ["bits_per_byte"] = bits }));
        Assert.Equal(verdict, new RunSummary(history).Verdict);
    }

    [Fact]
    public void A_run_that_goes_on_or_has_not_begun_has_a_page_too()
    {
        Assert.Contains("Nothing has happened yet.", RunReport.Render(new RunHistory()), StringComparison.Ordinal);
        var running = new RunHistory();
        running.Add(Samples.Start("run"));
        Assert.Contains("At step 0 of 100.", RunReport.Render(running), StringComparison.Ordinal);
    }

    [Fact]
    public void A_report_made_again_from_the_folder_is_the_same()
    {
        using var folder = new TemporaryFolder();
        using (var metrics = new MetricsFile())
        {
            var writer = new ReportWriter();
            foreach (var happened in Events(folder.Path))
            {
                metrics.Observe(happened);
                writer.Observe(happened);
            }
        }
        var live = File.ReadAllText(folder[ReportWriter.Name]);
        Assert.Equal(folder[ReportWriter.Name], ReportWriter.Rebuild(folder.Path));
        Assert.Equal(live, File.ReadAllText(folder[ReportWriter.Name]));
    }

    [Fact]
    public void A_resumed_run_shows_what_earlier_processes_did()
    {
        using var folder = new TemporaryFolder();
        foreach (var (from, to) in new[] { (0, 30), (20, 40) })
        {
            using var metrics = new MetricsFile();
            var writer = new ReportWriter();
            foreach (var happened in new RunEvent[] { Samples.Start(folder.Path, from) }.Concat(Enumerable.Range(from + 1, to - from).Select(i => Samples.Step(i))).Append(Samples.Finish(to)))
            {
                metrics.Observe(happened);
                writer.Observe(happened);
            }
        }
        var page = File.ReadAllText(folder[ReportWriter.Name]);
        Assert.Contains("resumed after step 20", page, StringComparison.Ordinal);
        Assert.Contains("Finished 40 steps", page, StringComparison.Ordinal);
    }

    [Fact]
    public void A_folder_without_a_run_is_refused_in_one_line()
    {
        using var folder = new TemporaryFolder();
        var error = Assert.Throws<PerennialException>(() => ReportWriter.Rebuild(folder.Path));
        Assert.Equal(ExitCode.Damaged, error.Code);
        Assert.DoesNotContain('\n', error.Message);
    }

    private static RunHistory History(string folder)
    {
        var history = new RunHistory();
        foreach (var happened in Events(folder)) history.Add(happened);
        return history;
    }

    private static IEnumerable<RunEvent> Events(string folder)
    {
        yield return Samples.Start(folder);
        for (var step = 1; step <= 40; step++)
        {
            yield return Samples.Step(step);
            if (step % 10 == 0) yield return Samples.Evaluation(step);
            if (step == 25) yield return new StepRefused(25, "loss is not finite", "skip", [7, 1L << 48 | 9]);
            if (step == 20) yield return new SampleWritten(20, "It is", " a truth");
        }
        yield return new CheckpointWritten(40, "checkpoints/step-40", 12_345_678, 0.25);
        yield return new MixtureMeasured(40, [new MixtureShare("austen", 0.75, 0.7504, 12_000), new MixtureShare("noise", 0.25, 0.2496, 4_000)]);
        yield return new Notice("warning", "something to know");
        yield return Samples.Finish(40);
    }

    [GeneratedRegex("""(src|href)\s*=\s*["'](?!data:)|url\(|https?://(?!www\.w3\.org)""", RegexOptions.IgnoreCase)]
    private static partial Regex External();
}
