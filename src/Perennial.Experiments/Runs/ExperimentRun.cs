using System.Diagnostics;
using Perennial.Core;
using Perennial.Core.Recipes;
using Perennial.Experiments.Papers;
using Perennial.Experiments.Reports;
using Perennial.Experiments.Verdicts;
using Perennial.Resilience;

namespace Perennial.Experiments.Runs;

/// <summary>Runs a paper's comparison: search, every (arm, seed), judgement, report. Called again after any stop, it goes on.</summary>
public static class ExperimentRun
{
    /// <summary>The folder of the result within an experiment's folder: one a size.</summary>
    public static string FolderOf(Paper paper, ExperimentOptions options)
    {
        ArgumentNullException.ThrowIfNull(paper);
        ArgumentNullException.ThrowIfNull(options);
        return Path.Combine(options.Folder, paper.Budget.Choose(options.BudgetMinutes).Name);
    }

    /// <summary>Trains or measures what is missing, judges, and writes <c>result.json</c>, <c>page.html</c> and <c>README.md</c>.</summary>
    /// <param name="paper">The paper.</param>
    /// <param name="options">How to run it.</param>
    /// <param name="runner">Trains one recipe.</param>
    /// <param name="observer">Sees progress; may be null.</param>
    /// <param name="cancellation">Stops at the next step; finished runs stay recorded.</param>
    /// <exception cref="PerennialException">Exit 2: a recipe is wrong, the budget too small, or another process runs this paper. Exit 1: a run failed, or the arms did not spend the same.</exception>
    /// <exception cref="OperationCanceledException">Stopped.</exception>
    public static ExperimentResult Execute(Paper paper, ExperimentOptions options, ITrialRunner runner, IExperimentObserver? observer, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(paper);
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(runner);
        var started = Stopwatch.StartNew();
        var tier = paper.Budget.Choose(options.BudgetMinutes);
        var count = options.Seeds ?? tier.Seeds;
        if (count < 1) throw PerennialException.Usage($"--seeds {count}: must be at least 1");
        ulong[] seeds = [.. Enumerable.Range(0, count).Select(i => paper.Budget.FirstSeed + (ulong)i)];
        var folder = FolderOf(paper, options);
        var plan = new Plan(tier, PaperFile.Base(paper), runner);
        // Every recipe is resolved before the first run trains: a mistake in the last arm is told at once.
        foreach (var arm in paper.Arms) plan.Trial(arm, null, seeds[0]);
        Directory.CreateDirectory(options.Folder);
        using var held = RunLock.Take(options.Folder, "another process runs this paper; wait for it, or stop it first: what it finished is kept");
        if (options.Fresh) held.Clear();
        // Sizes share their runs: a larger one goes on from what a smaller one finished.
        var queue = new TrialQueue(runner, new TrialLedger(Path.Combine(options.Folder, "finished")), Path.Combine(options.Folder, "runs"), Math.Min(options.Parallel, paper.Parallel ?? int.MaxValue), observer);
        var shared = paper.Tuning is null ? 0 : Math.Min(paper.Tuning.Seeds, seeds.Length) * paper.Tuning.On(paper.Arms).Count();
        var searched = paper.Tuning is null ? 0 : paper.Tuning.Values.Count * shared;
        queue.Runs = searched - shared + paper.Arms.Count * seeds.Length;
        observer?.Observe(new ExperimentStarted(folder, tier.Name, seeds, queue.Runs));

        var searches = paper.Tuning is null ? [] : Search(paper, paper.Tuning, plan, seeds, queue, observer, cancellation);
        var trials = paper.Arms.SelectMany(arm => seeds.Select(seed => (Arm: arm, Seed: seed, Trial: plan.Trial(arm, Tuned(arm), seed)))).ToList();
        queue.Runs = queue.Runs - paper.Arms.Count * seeds.Length + trials.Select(trial => trial.Trial.Fingerprint).Distinct().Count();
        // Seed by seed, so that an interrupted experiment has whole pairs first.
        var order = trials.OrderBy(trial => Array.IndexOf(seeds, trial.Seed)).ToList();
        var outcomes = order.Zip(queue.Finish([.. order.Select(trial => trial.Trial)], cancellation))
            .ToDictionary(pair => (pair.First.Arm.Name, pair.First.Seed), pair => pair.Second);
        BudgetCheck.Require(paper, outcomes);

        var measured = new Measurements(seeds, paper.Cells().Select(cell => (cell, (IReadOnlyList<double>)[.. seeds.Select(seed => Value(paper, outcomes[(cell.Arm, seed)], cell))])), paper.Rounding);
        var judged = VerdictRule.Judge(paper.Hypotheses, measured);
        var result = ResultBuilder.Build(paper, tier, measured, judged, [.. searches.Select(search => search.Result)], outcomes, started.Elapsed.TotalSeconds);
        var page = ExperimentFiles.Write(folder, paper, result, outcomes);
        observer?.Observe(new ExperimentFinished(result, page));
        return result;

        (string, RecipeNode)? Tuned(Arm arm) => searches.Count == 0 ? null : (paper.Tuning!.Key, (searches.FirstOrDefault(search => search.Arm == arm.Name) ?? searches[0]).Chosen);
    }

    private sealed record Searched(string Arm, RecipeNode Chosen, TuningResult Result);

    private static List<Searched> Search(
        Paper paper, Tuning tuning, Plan plan, ulong[] seeds, TrialQueue queue, IExperimentObserver? observer, CancellationToken cancellation)
    {
        var used = seeds.Take(tuning.Seeds).ToList();
        var arms = tuning.On(paper.Arms).ToList();
        var outcomes = queue.Finish([.. arms.SelectMany(arm => tuning.Values.SelectMany(value => used.Select(seed => plan.Trial(arm, (tuning.Key, value), seed))))], cancellation);
        return [.. arms.Select((arm, place) => Best(arm, [.. outcomes.Skip(place * tuning.Values.Count * used.Count).Take(tuning.Values.Count * used.Count)]))];

        Searched Best(Arm arm, List<TrialOutcome> own)
        {
            var cell = new Cell(arm.Name, tuning.Weights);
            var tried = tuning.Values.Select((value, i) => (Value: value,
                Mean: Math.Round(own.Skip(i * used.Count).Take(used.Count).Average(outcome => paper.Rounding.Round(Value(paper, outcome, cell))), paper.Experiment is null ? 6 : 15))).ToList();
            var chosen = tried.MinBy(pair => double.IsNaN(pair.Mean) ? double.PositiveInfinity : pair.Mean);
            var told = tried.Select(pair => (Plan.Text(pair.Value), pair.Mean)).ToList();
            observer?.Observe(new TuningFinished(tuning.Key, told, Plan.Text(chosen.Value)));
            return new Searched(arm.Name, chosen.Value, new TuningResult(tuning.Key, cell.ToString(), used, [.. told.Select(pair => new TunedValue(pair.Item1, pair.Mean))], Plan.Text(chosen.Value),
                chosen.Value == tuning.Values[0] || chosen.Value == tuning.Values[^1]));
        }
    }

    private static double Value(Paper paper, TrialOutcome outcome, Cell cell)
    {
        if (paper.Experiment is not null)
            return outcome.Measures.TryGetValue(cell.Weights, out var measured) ? measured
                : throw PerennialException.Usage($"paper {paper.Number:00}: the experiment measured no '{cell.Weights}' for '{cell.Arm}'{Nearest.Hint(cell.Weights, [.. outcome.Measures.Keys])}; it measured {string.Join(", ", outcome.Measures.Keys)}");
        if (!outcome.Final.TryGetValue(cell.Weights, out var metrics))
            throw PerennialException.Usage($"paper {paper.Number:00}: the runs of '{cell.Arm}' evaluated no weights called '{cell.Weights}'; they evaluated {string.Join(", ", outcome.Final.Keys)}");
        if (!metrics.TryGetValue(paper.Metric, out var value))
            throw PerennialException.Usage($"paper {paper.Number:00}: the evaluation gave no '{paper.Metric}'; it gave {string.Join(", ", metrics.Keys)}");
        return value;
    }

    private sealed class Plan(Tier tier, RecipeNode recipe, ITrialRunner runner)
    {
        public Trial Trial(Arm arm, (string Key, RecipeNode Value)? tuned, ulong seed)
        {
            var composed = PaperFile.Compose(recipe, tier, arm, tuned, seed);
            var suffix = tuned is { } found ? $"-{Text(found.Value).Replace('/', '-').Replace(' ', '-')}" : "";
            return new($"{arm.Name}{suffix}-seed-{seed}", composed, runner.Resolve(composed));
        }

        public static string Text(RecipeNode node) => node is RecipeScalar { Text: { } text } ? text : node.Describe;
    }
}
