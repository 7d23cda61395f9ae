using Perennial.Core;
using Perennial.Core.Recipes;
using Perennial.Experiments.Measured;
using Perennial.Experiments.Papers;
using Perennial.Experiments.Reports;
using Perennial.Experiments.Runs;

namespace Perennial.Experiments.Tests;

/// <summary>Options of <see cref="FormulaExperiment"/>.</summary>
public sealed record FormulaExperimentOptions
{
    /// <summary>What is measured grows with it.</summary>
    public double Size { get; init; } = 1;

    /// <summary>Whether it measures something that no threshold can judge.</summary>
    public bool Broken { get; init; }
}

/// <summary>An experiment that is a formula.</summary>
[Component("formula")]
public sealed class FormulaExperiment(FormulaExperimentOptions options) : IExperiment
{
    /// <inheritdoc/>
    public ExperimentOutcome Measure(ExperimentContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        Assert.True(Directory.Exists(context.Folder));
        File.AppendAllText(Path.Combine(context.Folder, "calls"), "x");
        return new()
        {
            Measures = new Dictionary<string, double> { ["deviation"] = options.Broken ? double.NaN : options.Size * 1e-7 * (1 + context.Seed / 1000.0), ["bytes"] = options.Size * 1234567 },
            Curves = [new("Decay", "accelerators", "goodput", [new(1.5, options.Size), new(2.5, options.Size / 2)])],
        };
    }
}

public sealed class MeasuredTests
{
    private const string Yaml = """
        number: 2
        title: A title
        claim: Small is smaller.
        measure: A formula.
        experiment: { kind: formula, size: 2 }
        measures: [deviation, bytes]
        parallel: 1
        arms:
          - { name: base }
          - { name: large, set: { experiment.size: 8 }, measures: [deviation] }
        budget: { kind: as-stated, default: 1, tiers: [{ minutes: 1, seeds: 3 }] }
        hypotheses:
          - { id: a, statement: base is 3 times smaller, decides: true, conditions: [{ contrast: { large@deviation: 1, base@deviation: -3 }, at-least: 0, seeds: 1 }] }
          - { id: b, statement: bytes are few, conditions: [{ contrast: { base@bytes: 1 }, at-most: 2.5e6 }] }
        """;

    private static readonly ComponentRegistry Components = ComponentRegistry.Scan([typeof(FormulaExperiment).Assembly]);

    private static readonly ExperimentTrialRunner Runner = new(Components, new ProgramCommand("none", []));

    private static Paper Load(TemporaryFolder folder, string yaml) => PaperFile.Load(folder.Write("papers/02-x/paper.yaml", yaml), new RecipeBinder(Components));

    private static ExperimentResult Run(TemporaryFolder folder, string yaml) =>
        ExperimentRun.Execute(Load(folder, yaml), new ExperimentOptions { Folder = folder["out"] }, Runner, null, CancellationToken.None);

    [Fact]
    public void Measures_meet_the_same_verdict_and_report()
    {
        using var folder = new TemporaryFolder();
        var result = Run(folder, Yaml);
        Assert.Equal("holds", result.Verdict);
        Assert.Equal(["base@deviation", "base@bytes", "large@deviation"], result.Cells.Select(cell => cell.Cell));
        // Six digits, not four decimals: small values stay what they are.
        Assert.Equal([2.002e-7, 2.004e-7, 2.006e-7], result.Cells[0].Values);
        Assert.Equal(2469130, result.Cells[1].Values[0]);
        Assert.Equal(2.004e-7, result.Hypotheses[0].Conditions[0].Mean!.Value.Mean, 1e-18);
        var text = File.ReadAllText(folder["out/1-minutes/result.txt"]);
        Assert.Contains("2.004E−07", text, StringComparison.Ordinal);
        Assert.Contains("6 runs, size", text, StringComparison.Ordinal);
        Assert.Contains("six significant digits", text, StringComparison.Ordinal);
        var page = File.ReadAllText(folder["out/1-minutes/page.html"]);
        Assert.Contains("<svg id=\"cells-1\"", page, StringComparison.Ordinal);
        Assert.Contains("accelerators", page, StringComparison.Ordinal);
        Assert.Equal(text.TrimEnd(), ExperimentText.Render(ResultFile.Read(folder["out/1-minutes/result.json"])).TrimEnd());
    }

    [Fact]
    public void What_was_measured_is_not_measured_again_and_changed_options_are()
    {
        using var folder = new TemporaryFolder();
        Run(folder, Yaml);
        Run(folder, Yaml);
        Assert.All(Directory.GetFiles(folder["out/runs"], "calls", SearchOption.AllDirectories), file => Assert.Equal("x", File.ReadAllText(file)));
        Run(folder, Yaml.Replace("experiment.size: 8", "experiment.size: 9", StringComparison.Ordinal));
        Assert.Equal(6 + 3, Directory.GetFiles(folder["out/runs"], "calls", SearchOption.AllDirectories).Length);
    }

    [Theory]
    [InlineData("base@deviation: -3", "base@deviatoin: -3", "no cell")]
    [InlineData("measures: [deviation, bytes]", "measures: [deviation, bytes, time]", "measured no 'time'")]
    [InlineData("experiment.size: 8", "experiment.sise: 8", "unknown key 'sise'")]
    [InlineData("experiment.size: 8", "size: 8", "keys of the experiment begin with 'experiment.'")]
    [InlineData("kind: formula", "kind: formular", "unknown experiment 'formular'")]
    [InlineData("experiment: { kind: formula, size: 2 }\n", "", "'recipe' is needed")]
    [InlineData("measures: [deviation, bytes]\n", "", "'measures' are needed")]
    [InlineData("contrast: { base@bytes: 1 }", "contrast: { lowest: 1 }", "cannot ask for the lowest")]
    public void Mistakes_are_told_with_their_cure(string right, string wrong, string told)
    {
        using var folder = new TemporaryFolder();
        Assert.Contains(right, Yaml, StringComparison.Ordinal);
        var thrown = Assert.Throws<PerennialException>(() => Run(folder, Yaml.Replace(right, wrong, StringComparison.Ordinal)));
        Assert.Equal(ExitCode.Usage, thrown.Code);
        Assert.Contains(told, thrown.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_measure_that_is_no_number_is_a_failure()
    {
        using var folder = new TemporaryFolder();
        var thrown = Assert.Throws<PerennialException>(() => Run(folder, Yaml.Replace("experiment.size: 8", "experiment.broken: true", StringComparison.Ordinal)));
        Assert.Equal(ExitCode.Failed, thrown.Code);
        Assert.Contains("'deviation'", thrown.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_program_that_takes_too_long_is_killed()
    {
        if (OperatingSystem.IsWindows()) return;
        var shell = new ProgramCommand("/bin/sh", ["-c"]);
        var result = shell.Run(["echo out; echo err >&2; exit 3"], TimeSpan.FromSeconds(20), CancellationToken.None);
        Assert.Equal((3, "out", "err"), (result.ExitCode, result.Output.Single(), result.Errors.Single()));
        Assert.Throws<PerennialException>(() => shell.Run(["sleep 60"], TimeSpan.FromSeconds(0.2), CancellationToken.None));
    }
}
