using Perennial.Core;
using Perennial.Core.Recipes;
using Perennial.Experiments.Papers;

namespace Perennial.Experiments.Tests;

public sealed class PaperFileTests
{
    [Fact]
    public void A_paper_binds()
    {
        using var folder = new TemporaryFolder();
        var paper = Samples.Load(folder);
        Assert.Equal(["base", "base@average", "better", "better@average"], paper.Cells().Select(cell => cell.ToString()));
        Assert.Equal(0.8, paper.Hypotheses[0].Conditions[0].Seeds);
        Assert.Equal(-1, paper.Hypotheses[0].Conditions[0].Contrast["base"]);
        Assert.Equal(3, paper.Budget.Choose(null).Seeds);
    }

    [Theory]
    [InlineData("arms:", "armz:", "paper.yaml:7:1: unknown key 'armz', did you mean 'arms'?")]
    [InlineData("{ better: 1, base: -1 }", "{ bettr: 1, base: -1 }", "'hypotheses' 'a' speaks of 'bettr', which is no cell, did you mean 'better'?")]
    [InlineData("at-most: -0.4, ", "", "needs exactly one of at-most and at-least")]
    [InlineData("arm: base,", "arm: bass,", "is 'bass', which is no arm")]
    [InlineData("name: better,", "name: base,", "names 'base' twice")]
    [InlineData("decides: true", "decides: false", "need at least one with 'decides: true'")]
    [InlineData("minutes: 2,", "minutes: 20,", "must rise in minutes")]
    [InlineData("seeds: 0.8", "seeds: 1.8", "'seeds' must be from 0 to 1; found '1.8'")]
    public void Mistakes_are_told_in_one_line_with_their_place(string right, string wrong, string expected)
    {
        using var folder = new TemporaryFolder();
        var thrown = Assert.Throws<PerennialException>(() => Samples.Load(folder, Samples.Yaml.Replace(right, wrong, StringComparison.Ordinal)));
        Assert.Equal(ExitCode.Usage, thrown.Code);
        Assert.Contains(expected, thrown.Message, StringComparison.Ordinal);
        Assert.Matches(@"paper\.yaml:\d+:\d+: ", thrown.Message);
        Assert.DoesNotContain('\n', thrown.Message);
    }

    [Fact]
    public void A_budget_picks_the_largest_size_that_fits_and_refuses_less_than_the_smallest()
    {
        using var folder = new TemporaryFolder();
        var budget = Samples.Load(folder).Budget;
        Assert.Equal("2-minutes", budget.Choose(9.9).Name);
        Assert.Equal("10-minutes", budget.Choose(60).Name);
        var thrown = Assert.Throws<PerennialException>(() => budget.Choose(1));
        Assert.Contains("sizes: 2, 10", thrown.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_recipe_is_the_base_changed_by_size_arm_tuned_value_and_seed()
    {
        using var folder = new TemporaryFolder();
        var paper = Samples.Load(folder);
        var recipe = PaperFile.Compose(RecipeDocument.Load(paper.Recipe!), paper.Budget.Tiers[0], paper.Arms[1], ("optimizer.rate", paper.Tuning!.Values[2]), 9);
        Assert.Equal("gain=0.5\noptimizer.rate=0.003\nseed=9\ntraining.tokens=100", new FormulaRunner().Resolve(recipe));
    }
}
