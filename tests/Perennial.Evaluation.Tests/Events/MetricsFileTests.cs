using Perennial.Evaluation.Events;
using Perennial.Training;

namespace Perennial.Evaluation.Tests;

public class MetricsFileTests
{
    [Fact]
    public void Every_line_is_on_file_before_the_next_event()
    {
        using var folder = new TemporaryFolder();
        using var metrics = new MetricsFile();
        var count = 0;
        foreach (var happened in Samples.EveryKind(folder.Path))
        {
            metrics.Observe(happened);
            Assert.Equal(++count, MetricsFile.Read(folder.Path).Count());
        }
    }

    [Fact]
    public void A_resume_drops_what_will_be_done_again_and_doubles_nothing()
    {
        using var folder = new TemporaryFolder();
        Run(folder.Path, 0, 30);
        File.AppendAllText(folder[MetricsFile.Name], """{"event":"step","step":31,"tok"""); // torn by a kill
        Run(folder.Path, 20, 40);
        Run(folder.Path, 20, 25);
        Run(folder.Path, 20, 50);

        var events = MetricsFile.Read(folder.Path).ToList();
        Assert.Equal(Enumerable.Range(1, 50).Select(i => (long)i), events.OfType<StepDone>().Select(step => step.Step));
        Assert.Equal([0L, 20], events.OfType<RunStarted>().Select(start => start.StartStep));
        Assert.All(File.ReadAllLines(folder[MetricsFile.Name]), line => Assert.NotNull(RunEventReader.Read(line)));
        Assert.DoesNotContain(Directory.GetFiles(folder.Path), file => file.EndsWith(".partial", StringComparison.Ordinal));
    }

    [Fact]
    public void A_start_from_nothing_drops_everything()
    {
        using var folder = new TemporaryFolder();
        Run(folder.Path, 0, 5);
        Run(folder.Path, 0, 2);
        Assert.Equal([1L, 2], MetricsFile.Read(folder.Path).OfType<StepDone>().Select(step => step.Step));
    }

    [Fact]
    public void What_was_told_late_about_an_earlier_step_stays()
    {
        using var folder = new TemporaryFolder();
        using (var metrics = new MetricsFile())
        {
            metrics.Observe(Samples.Start(folder.Path));
            metrics.Observe(Samples.Step(1));
            metrics.Observe(Samples.Step(2));
            metrics.Observe(new CheckpointWritten(1, "step-1", 1, 1));
            metrics.Observe(new Notice("info", "about step 2"));
        }
        MetricsFile.Truncate(folder[MetricsFile.Name], 1);
        Assert.Equal(
            [typeof(RunStarted), typeof(StepDone), typeof(CheckpointWritten)],
            MetricsFile.Read(folder.Path).Select(happened => happened.GetType()));
    }

    [Fact]
    public void Notices_before_the_start_are_kept_for_it()
    {
        using var folder = new TemporaryFolder();
        using var metrics = new MetricsFile();
        metrics.Observe(new Notice("warning", "skipped a damaged checkpoint"));
        metrics.Observe(Samples.Start(folder.Path));
        Assert.Contains(MetricsFile.Read(folder.Path), happened => happened is Notice { Level: "warning" });
    }

    [Fact]
    public void A_folder_that_cannot_be_written_is_told_once_and_harms_nothing()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["file"], "in the way");
        var told = new List<string>();
        using var metrics = new MetricsFile(told.Add);
        metrics.Observe(Samples.Start(folder["file"]));
        metrics.Observe(Samples.Step(1));
        Assert.Single(told);
    }

    [Fact]
    public void What_could_not_be_written_is_written_when_it_can_be()
    {
        using var folder = new TemporaryFolder();
        var told = new List<string>();
        using (var metrics = new MetricsFile(told.Add))
        {
            metrics.Observe(Samples.Start(folder["run"]));
            metrics.Observe(Samples.Step(1));
            // Another leader's file, moved away and replaced by a folder: nothing can be written there for a while.
            using (var other = new MetricsFile(told.Add))
            {
                Directory.CreateDirectory(folder["taken"]);
                Directory.CreateDirectory(Path.Combine(folder["taken"], MetricsFile.Name));
                other.Observe(Samples.Start(folder["taken"]));
                other.Observe(Samples.Step(1));
                Assert.Single(told);
                Directory.Delete(Path.Combine(folder["taken"], MetricsFile.Name));
                other.Observe(Samples.Step(2));
            }
            metrics.Observe(Samples.Step(2));
        }
        Assert.Equal(2, told.Count);
        foreach (var run in new[] { "run", "taken" })
        {
            var events = MetricsFile.Read(folder[run]).ToList();
            Assert.IsType<RunStarted>(events[0]);
            Assert.Equal([1L, 2], events.OfType<StepDone>().Select(step => step.Step));
        }
    }

    [Fact]
    public void Folding_live_and_folding_from_file_agree()
    {
        using var folder = new TemporaryFolder();
        var live = new RunHistory();
        using (var metrics = new MetricsFile())
        {
            foreach (var happened in Samples.EveryKind(folder.Path).Concat([Samples.Start(folder.Path, 1), Samples.Step(2), Samples.Evaluation(2)]))
            {
                metrics.Observe(happened);
                live.Add(happened);
            }
        }
        var loaded = RunHistory.Load(folder.Path);
        Assert.Equal(live.Steps, loaded.Steps);
        Assert.Equal(live.Evaluations.Count, loaded.Evaluations.Count);
        Assert.Equal(live.Resumes, loaded.Resumes);
        Assert.Equal([1L], loaded.Resumes);
        Assert.Null(loaded.Result);
    }

    private static void Run(string folder, long from, long to)
    {
        using var metrics = new MetricsFile();
        metrics.Observe(Samples.Start(folder, from));
        for (var step = from + 1; step <= to; step++) metrics.Observe(Samples.Step(step));
        metrics.Observe(Samples.Evaluation(to));
    }
}
