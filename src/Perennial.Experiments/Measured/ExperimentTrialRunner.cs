using System.Diagnostics;
using System.Globalization;
using Perennial.Core;
using Perennial.Core.Recipes;
using Perennial.Experiments.Runs;

namespace Perennial.Experiments.Measured;

/// <summary>Lets an <see cref="IExperiment"/> stand where a training stands: one call an arm and seed, recorded and resumed alike.</summary>
/// <param name="components">Components that papers and recipes may name.</param>
/// <param name="program">Starts this program again.</param>
public sealed class ExperimentTrialRunner(ComponentRegistry components, ProgramCommand program) : ITrialRunner
{
    /// <summary>The key beside the recipe's own keys under which an experiment and its options stand.</summary>
    public const string Key = "experiment";

    private readonly TrainingTrialRunner trainings = new(components);

    /// <inheritdoc/>
    public string Resolve(RecipeNode recipe)
    {
        var (spec, own, seed) = Split(recipe);
        return $"{RecipeWriter.ToYaml(spec)}---\n{(own is null ? $"seed: {seed}\n" : trainings.Resolve(own))}";
    }

    /// <inheritdoc/>
    public TrialOutcome Run(RecipeNode recipe, string folder, IProgress<double> progress, CancellationToken cancellation)
    {
        var clock = Stopwatch.StartNew();
        var (spec, own, seed) = Split(recipe);
        Directory.CreateDirectory(folder);
        var outcome = spec.Create().Measure(new ExperimentContext
        {
            Seed = seed, Recipe = own, Folder = folder, Components = components, Program = program, Progress = progress, Cancellation = cancellation,
        });
        foreach (var (name, value) in outcome.Measures)
            if (!double.IsFinite(value)) throw PerennialException.Failed($"{folder}: experiment '{spec.Kind}' measured {value.ToString(CultureInfo.InvariantCulture)} for '{name}', which no threshold can judge");
        return new TrialOutcome
        {
            Final = new Dictionary<string, IReadOnlyDictionary<string, double>>(),
            Measures = outcome.Measures,
            Curves = outcome.Curves.ToDictionary(curve => curve.Name, curve => curve.Points),
            Axes = outcome.Curves.ToDictionary(curve => curve.Name, curve => new CurveAxes(curve.XLabel, curve.YLabel)),
            Parameters = outcome.Parameters,
            Tokens = outcome.Tokens,
            Flops = outcome.Flops,
            Seconds = Math.Round(clock.Elapsed.TotalSeconds, 2),
            StateHash = "",
        };
    }

    private (ComponentSpec<IExperiment> Spec, RecipeNode? Recipe, ulong Seed) Split(RecipeNode composed)
    {
        if (composed is not RecipeMapping mapping || mapping[Key] is not { } experiment) throw composed.Error("a paper's recipe must be a mapping of keys");
        var spec = new RecipeBinder(components).Bind<ComponentSpec<IExperiment>>(experiment);
        var own = mapping with { Entries = [.. mapping.Entries.Where(entry => entry.Key != Key)] };
        var seed = ulong.Parse(((RecipeScalar)own["seed"]!).Text!, CultureInfo.InvariantCulture);
        // Without a recipe only the seed is there; anything else was written by an arm that should have said experiment.key.
        if (own.Entries.Count == 1) return (spec, null, seed);
        return own["model"] is not null ? (spec, own, seed)
            : throw PerennialException.Usage($"{own.Entries.First(entry => entry.Key != "seed").KeyLocation}: '{own.Entries.First(entry => entry.Key != "seed").Key}' is no key here: the paper names no recipe; keys of the experiment begin with '{Key}.'");
    }
}
