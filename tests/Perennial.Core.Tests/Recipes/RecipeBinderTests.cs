using System.ComponentModel.DataAnnotations;
using CsCheck;
using Perennial.Core.Recipes;

namespace Perennial.Core.Tests.Recipes;

[ComponentRole("fruit")]
public interface IFruit;

public sealed record AppleOptions : IValidatedOptions
{
    [Range(1, int.MaxValue)]
    public int Seeds { get; init; } = 5;

    public int Bites { get; init; }

    public IEnumerable<(string, string)> Problems()
    {
        if (Bites > Seeds) yield return ("bites", $"must be at most seeds ({Seeds})");
    }
}

/// <summary>A test apple.</summary>
[Component("apple")]
public sealed class Apple(AppleOptions options) : IFruit
{
    public AppleOptions Options { get; } = options;
}

/// <summary>A test pear, without options.</summary>
[Component("pear")]
public sealed class Pear : IFruit;

public sealed record Basket
{
    public required string Name { get; init; }
    public double Weight { get; init; } = 1;
    public Count Tokens { get; init; } = 10;
    public RunLength Warmup { get; init; } = new(0.05, RunUnit.Fraction);
    public ComponentSpec<IFruit>? Best { get; init; }
    public IReadOnlyList<ComponentSpec<IFruit>> Others { get; init; } = [];
    public IReadOnlyList<double> Betas { get; init; } = [];
    public string? Note { get; init; }
    public DayOfWeek Day { get; init; }
    public bool Ripe { get; init; }
}

public class RecipeBinderTests
{
    private static readonly ComponentRegistry Registry = ComponentRegistry.Scan([typeof(Apple).Assembly]);
    private static readonly RecipeBinder Binder = new(Registry);

    private static Basket Bind(string yaml) => Binder.Bind<Basket>(RecipeDocument.Parse(yaml, "b.yaml"));

    private static string Error(string yaml)
    {
        var thrown = Assert.Throws<PerennialException>(() => Bind(yaml));
        Assert.Equal(ExitCode.Usage, thrown.Code);
        Assert.DoesNotContain('\n', thrown.Message);
        return thrown.Message;
    }

    [Fact]
    public void Binds_every_kind_of_value()
    {
        var basket = Bind("name: x\nweight: 1e-3\ntokens: 2M\nwarmup: 100 steps\nbest: { kind: apple, seeds: 7 }\nothers: [pear, { kind: apple }]\nbetas: [0.9, 0.95]\nday: friday\nripe: true");
        Assert.Equal(1e-3, basket.Weight);
        Assert.Equal(2_000_000, basket.Tokens.Value);
        Assert.Equal(new RunLength(100, RunUnit.Steps), basket.Warmup);
        Assert.Equal(7, ((Apple)basket.Best!.Create()).Options.Seeds);
        Assert.IsType<Pear>(basket.Others[0].Create());
        Assert.Equal([0.9, 0.95], basket.Betas);
        Assert.Equal(DayOfWeek.Friday, basket.Day);
    }

    [Theory]
    [InlineData("name: x\nwieght: 2", "b.yaml:2:1: unknown key 'wieght', did you mean 'weight'?")]
    [InlineData("weight: 2", "b.yaml:1:1: the recipe needs 'name'")]
    [InlineData("name: x\nweight: heavy", "b.yaml:2:9: 'weight' must be a number; found 'heavy'")]
    [InlineData("name: x\nweight: nan", "b.yaml:2:9: 'weight' must be a number; found 'nan'")]
    [InlineData("name: x\nbest: aple", "b.yaml:2:7: unknown fruit 'aple', did you mean 'apple'?")]
    [InlineData("name: x\nbest: { kind: apple, seeds: -1 }", "b.yaml:2:29: 'seeds' must be at least 1; found '-1'")]
    [InlineData("name: x\nbest: { kind: apple, bites: 9 }", "b.yaml:2:29: 'bites' must be at most seeds (5)")]
    [InlineData("name: x\nbest: { kind: pear, seeds: 1 }", "b.yaml:2:21: fruit 'pear' has no key 'seeds'")]
    [InlineData("name: x\nname: y", "b.yaml:2:1: key 'name' is given twice (first at line 1)")]
    [InlineData("name: x\nbetas: 3", "b.yaml:2:8: 'betas' must be a list, such as [a, b]; found '3'")]
    [InlineData("name: x\nday: fryday", "did you mean 'friday'?")]
    [InlineData("", "b.yaml: is empty")]
    [InlineData("name: [", "not valid YAML")]
    [InlineData("name: x\n---\nname: y", "a second YAML document")]
    [InlineData("name: x\ntokens: 99999999999999999999", "must be a whole number")]
    public void Says_what_is_wrong_and_where(string yaml, string expected) => Assert.Contains(expected, Error(yaml), StringComparison.Ordinal);

    [Fact]
    public void Set_replaces_adds_and_reaches_into_lists()
    {
        var node = RecipeDocument.Parse("name: x\nothers: [{ kind: apple }]", "b.yaml")
            .With("weight=3").With("others.0.seeds=9").With("best", "pear");
        var basket = Binder.Bind<Basket>(node);
        Assert.Equal(3, basket.Weight);
        Assert.Equal(9, ((AppleOptions)basket.Others[0].Options!).Seeds);
        Assert.Equal("pear", basket.Best!.Kind);
        var thrown = Assert.Throws<PerennialException>(() => Binder.Bind<Basket>(node.With("wait=3")));
        Assert.StartsWith("--set wait: unknown key 'wait'", thrown.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Written_recipes_bind_to_the_same_text() =>
        Gen.Select(Gen.String, Gen.Double.Where(double.IsFinite), Gen.Int[1, 1000], Gen.String.Null(), Gen.Double[0, 1].Array[0, 4])
            .Sample((name, weight, seeds, note, betas) =>
            {
                var basket = new Basket
                {
                    Name = Clean(name), Weight = weight, Note = note is null ? null : Clean(note), Betas = betas,
                    Best = new("apple", typeof(Apple), new AppleOptions { Seeds = seeds }), Others = [new("pear", typeof(Pear), null)],
                };
                var yaml = RecipeWriter.ToYaml(basket);
                Assert.Equal(yaml, RecipeWriter.ToYaml(Bind(yaml)));
                Assert.Equal(basket.Name, Bind(yaml).Name);
            });

    // Lone surrogates are not text; YAML cannot carry them.
    private static string Clean(string text) => new([.. text.Where(c => !char.IsSurrogate(c) && c is not '\ufffe' and not '\uffff' and not '\0')]);

    [Fact]
    public void Components_are_found_with_their_help() =>
        Assert.Contains(Registry.All, component => component is { Role: "fruit", Kind: "apple" });
}
