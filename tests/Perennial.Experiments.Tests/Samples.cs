using System.Collections.Concurrent;
using Perennial.Core.Recipes;
using Perennial.Experiments.Papers;
using Perennial.Experiments.Runs;

namespace Perennial.Experiments.Tests;

/// <summary>A small comparison whose runs are computed by a formula.</summary>
internal static class Samples
{
    public static RecipeBinder Binder { get; } = new(ComponentRegistry.Scan([]));

    public const string Yaml = """
        number: 6
        title: A title
        claim: Better is better.
        measure: A formula.
        recipe: recipe.yaml
        weights: [raw, average]
        arms:
          - { name: base, group: first }
          - { name: better, group: second, set: { gain: 0.5 } }
        tuning: { key: optimizer.rate, values: [1e-3, 2e-3, 3e-3], arm: base, seeds: 1 }
        budget:
          default: 10
          tiers:
            - { minutes: 2, seeds: 2, set: { training.tokens: 100 } }
            - { minutes: 10, seeds: 3, set: { training.tokens: 1000 } }
        hypotheses:
          - id: a
            statement: better is lower than base
            decides: true
            conditions:
              - { contrast: { better: 1, base: -1 }, at-most: -0.4, seeds: 0.8 }
          - id: b
            statement: averaging helps
            conditions:
              - { contrast: { better@average: 1, better: -1 }, at-most: -0.05 }
        """;

    public static string Write(TemporaryFolder folder, string? yaml = null)
    {
        folder.Write("papers/06-x/recipe.yaml", "gain: 0\noptimizer: { rate: 1 }\ntraining: { tokens: 1 }\nseed: 0\n");
        return folder.Write("papers/06-x/paper.yaml", yaml ?? Yaml);
    }

    public static Paper Load(TemporaryFolder folder, string? yaml = null) => PaperFile.Load(Write(folder, yaml), Binder);
}

/// <summary>Computes a loss from the recipe instead of training; counts its calls and can be made to fail.</summary>
internal sealed class FormulaRunner(int failAfter = int.MaxValue) : ITrialRunner
{
    private int calls;

    public ConcurrentBag<string> Folders { get; } = [];

    public string Resolve(RecipeNode recipe) => string.Join('\n', Values(recipe).Select(pair => $"{pair.Key}={pair.Value}"));

    public TrialOutcome Run(RecipeNode recipe, string folder, IProgress<double> progress, CancellationToken cancellation)
    {
        if (Interlocked.Increment(ref calls) > failAfter) throw new OperationCanceledException("killed");
        Folders.Add(folder);
        progress.Report(0.5);
        var values = Values(recipe);
        // Lowest at rate 2e-3; the seed's own offset is shared by both arms.
        var loss = 3 - values["gain"] + Math.Abs(values["optimizer.rate"] - 2e-3) * 100 + values["seed"] * 0.01;
        return new TrialOutcome
        {
            Final = new Dictionary<string, IReadOnlyDictionary<string, double>> { ["raw"] = new Dictionary<string, double> { ["loss"] = loss }, ["average"] = new Dictionary<string, double> { ["loss"] = loss - 0.1 } },
            Curves = new Dictionary<string, IReadOnlyList<CurvePoint>>
            {
                ["raw/loss"] = [.. Enumerable.Range(1, 10).Select(i => new CurvePoint(i * 100, loss + 1.0 / i))],
                ["rate"] = [new(0, 0), new(1000, 1)],
            },
            Parameters = 100, Tokens = (long)values["training.tokens"], Flops = 1e6, Seconds = 1, StateHash = "00",
        };
    }

    private static SortedDictionary<string, double> Values(RecipeNode recipe)
    {
        var values = new SortedDictionary<string, double>(StringComparer.Ordinal);
        Walk("", recipe);
        return values;

        void Walk(string path, RecipeNode node)
        {
            if (node is RecipeMapping mapping) foreach (var entry in mapping.Entries) Walk(path.Length == 0 ? entry.Key : $"{path}.{entry.Key}", entry.Value);
            else values[path] = double.Parse(((RecipeScalar)node).Text!);
        }
    }
}

/// <summary>Keeps every event.</summary>
internal sealed class Notes : IExperimentObserver
{
    public List<ExperimentEvent> Events { get; } = [];

    public void Observe(ExperimentEvent happened) => Events.Add(happened);
}
