using Perennial.Core;
using Perennial.Experiments.Reports;
using Perennial.Experiments.Runs;
using Perennial.Resilience;

namespace Perennial.Experiments.Tests;

public sealed class ExperimentRunTests
{
    private static ExperimentOptions Options(TemporaryFolder folder) => new() { Folder = folder["out"], Parallel = 2 };

    [Fact]
    public void Everything_is_trained_judged_and_written()
    {
        using var folder = new TemporaryFolder();
        var runner = new FormulaRunner();
        var notes = new Notes();
        var result = ExperimentRun.Execute(Samples.Load(folder), Options(folder), runner, notes, CancellationToken.None);

        Assert.Equal("holds", result.Verdict);
        Assert.Equal("2e-3", result.Tuning!.Chosen);
        Assert.False(result.Tuning.AtEdge);
        // Three values of the search and two arms with three seeds, of which the search's winner is one.
        Assert.Equal(3 + 2 * 3 - 1, runner.Folders.Count);
        Assert.Equal(result.Runs, runner.Folders.Count);
        Assert.Equal([3.01, 3.02, 3.03], result.Cells[0].Values);
        Assert.True(result.Cells[3].IsLowest);
        Assert.Equal(-0.5, result.Hypotheses[0].Conditions[0].Mean!.Value.Mean, 1e-9);
        Assert.Equal(8, notes.Events.OfType<TrialFinished>().Last().Done);
        Assert.Equal(8, notes.Events.OfType<TrialFinished>().Last().Runs);

        var written = ResultFile.Read(folder["out/10-minutes/result.json"]);
        Assert.Equal(ExperimentText.Render(result), ExperimentText.Render(written));
        Assert.Contains("Verdict: holds", File.ReadAllText(folder["out/10-minutes/result.txt"]), StringComparison.Ordinal);
        var page = File.ReadAllText(folder["out/10-minutes/page.html"]);
        Assert.Contains("<svg id=\"cells\"", page, StringComparison.Ordinal);
        Assert.Contains("<svg id=\"curve-0-raw\"", page, StringComparison.Ordinal);
        Assert.DoesNotContain("http://", page, StringComparison.Ordinal);
    }

    [Fact]
    public void Each_arm_may_have_its_own_search()
    {
        using var folder = new TemporaryFolder();
        var runner = new FormulaRunner();
        var result = ExperimentRun.Execute(Samples.Load(folder, Samples.Yaml.Replace("arm: base", "arm: each", StringComparison.Ordinal)), Options(folder), runner, null, CancellationToken.None);
        Assert.Null(result.Tuning);
        Assert.Equal(["base", "better"], result.Searches.Select(search => search.Cell));
        Assert.All(result.Searches, search => Assert.Equal("2e-3", search.Chosen));
        // Three values for each arm with one seed, and two more seeds of each winner.
        Assert.Equal(2 * (3 + 2), runner.Folders.Count);
        Assert.Equal(result.Runs, runner.Folders.Count);
        Assert.Contains("Search: optimizer.rate on better", ExperimentText.Render(ResultFile.Read(folder["out/10-minutes/result.json"])), StringComparison.Ordinal);
    }

    [Fact]
    public void After_a_stop_it_goes_on_where_it_was_and_ends_alike()
    {
        using var folder = new TemporaryFolder();
        var paper = Samples.Load(folder);
        var stopped = new FormulaRunner(failAfter: 5);
        Assert.Throws<OperationCanceledException>(() => ExperimentRun.Execute(paper, Options(folder) with { Parallel = 1 }, stopped, null, CancellationToken.None));
        Assert.False(File.Exists(folder["out/10-minutes/result.json"]));

        var second = new FormulaRunner();
        var notes = new Notes();
        var resumed = ExperimentRun.Execute(paper, Options(folder), second, notes, CancellationToken.None);
        Assert.Equal(3, second.Folders.Count);
        Assert.Equal(5, notes.Events.OfType<TrialFinished>().Count(finished => finished.Recorded));

        using var other = new TemporaryFolder();
        var whole = ExperimentRun.Execute(Samples.Load(other), Options(other), new FormulaRunner(), null, CancellationToken.None);
        Assert.Equal(whole.Cells.SelectMany(cell => cell.Values), resumed.Cells.SelectMany(cell => cell.Values));
        Assert.Equal(whole.Verdict, resumed.Verdict);
    }

    [Fact]
    public void A_damaged_record_is_made_again()
    {
        using var folder = new TemporaryFolder();
        var paper = Samples.Load(folder);
        ExperimentRun.Execute(paper, Options(folder), new FormulaRunner(), null, CancellationToken.None);
        File.WriteAllText(Directory.GetFiles(folder["out/finished"]).Order().First(), "{\"outcome\":{\"fin");
        var runner = new FormulaRunner();
        ExperimentRun.Execute(paper, Options(folder), runner, null, CancellationToken.None);
        Assert.Single(runner.Folders);
    }

    [Fact]
    public void A_changed_recipe_trains_anew_and_a_changed_threshold_only_judges_anew()
    {
        using var folder = new TemporaryFolder();
        ExperimentRun.Execute(Samples.Load(folder), Options(folder), new FormulaRunner(), null, CancellationToken.None);

        var judged = new FormulaRunner();
        var strict = ExperimentRun.Execute(Samples.Load(folder, Samples.Yaml.Replace("at-most: -0.4", "at-most: -0.51", StringComparison.Ordinal)), Options(folder), judged, null, CancellationToken.None);
        Assert.Empty(judged.Folders);
        Assert.Equal("does not hold here", strict.Verdict);

        var changed = new FormulaRunner();
        ExperimentRun.Execute(Samples.Load(folder, Samples.Yaml.Replace("gain: 0.5", "gain: 0.6", StringComparison.Ordinal)), Options(folder), changed, null, CancellationToken.None);
        Assert.Equal(3, changed.Folders.Count);
    }

    [Fact]
    public void Arms_that_saw_unequal_tokens_are_refused()
    {
        using var folder = new TemporaryFolder();
        var paper = Samples.Load(folder, Samples.Yaml.Replace("{ gain: 0.5 }", "{ gain: 0.5, training.tokens: 2000 }", StringComparison.Ordinal));
        var thrown = Assert.Throws<PerennialException>(() => ExperimentRun.Execute(paper, Options(folder), new FormulaRunner(), null, CancellationToken.None));
        Assert.Equal(ExitCode.Failed, thrown.Code);
        Assert.Contains("did not see equally many tokens", thrown.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Seeds_and_size_follow_the_command_line()
    {
        using var folder = new TemporaryFolder();
        var result = ExperimentRun.Execute(Samples.Load(folder), Options(folder) with { Seeds = 1, BudgetMinutes = 3 }, new FormulaRunner(), null, CancellationToken.None);
        Assert.Equal([1UL], result.Seeds);
        Assert.Equal(100, result.TokensPerRun);
        Assert.True(File.Exists(folder["out/2-minutes/result.json"]));
    }

    [Fact]
    public void Two_at_once_are_refused_and_fresh_takes_nothing_from_the_one_that_runs()
    {
        using var folder = new TemporaryFolder();
        var options = Options(folder) with { Fresh = true };
        Directory.CreateDirectory(options.Folder);
        File.WriteAllText(Path.Combine(options.Folder, "kept"), "");
        using (RunLock.Take(options.Folder))
        {
            var error = Assert.Throws<PerennialException>(() => ExperimentRun.Execute(Samples.Load(folder), options, new FormulaRunner(), null, CancellationToken.None));
            Assert.Equal(ExitCode.Usage, error.Code);
            Assert.Contains("another process runs this paper", error.Message, StringComparison.Ordinal);
            Assert.True(File.Exists(Path.Combine(options.Folder, "kept")));
        }
        ExperimentRun.Execute(Samples.Load(folder), options, new FormulaRunner(), null, CancellationToken.None);
        Assert.False(File.Exists(Path.Combine(options.Folder, "kept")));
    }

    [Fact]
    public void The_verdict_follows_from_the_printed_values_alone()
    {
        using var folder = new TemporaryFolder();
        ExperimentRun.Execute(Samples.Load(folder), Options(folder), new FormulaRunner(), null, CancellationToken.None);
        // As a reader would: the values of each seed, from the text.
        var values = File.ReadAllLines(folder["out/10-minutes/result.txt"]).SkipWhile(line => !line.StartsWith("cell", StringComparison.Ordinal)).Skip(1).TakeWhile(line => line.Length > 0)
            .ToDictionary(line => line.Split(' ')[0], line => line.Split(']')[1].Split("<-")[0].Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(double.Parse).ToArray());
        Assert.True(values["better"].Zip(values["base"]).Average(pair => pair.First - pair.Second) <= -0.4);
        Assert.True(values["better"].Zip(values["base"]).Count(pair => pair.First - pair.Second <= -0.4) >= 3);
    }
}
