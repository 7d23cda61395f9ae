using System.IO.Hashing;
using System.Text;
using Perennial.Core.Recipes;
using Perennial.Data.Mixtures;
using Perennial.Data.Preparation;
using Perennial.Data.Streams;
using Perennial.Objectives;
using Perennial.Optimization;
using Perennial.Training.Recipes;

namespace Perennial.Training.Loop;

/// <summary>What a stage of a run is made into. A run without stages has one.</summary>
public sealed class RunStage
{
    /// <summary>Makes a stage.</summary>
    /// <param name="index">Its number.</param>
    /// <param name="recipe">Its recipe.</param>
    /// <param name="data">The run's data.</param>
    /// <param name="time">Tokens a window.</param>
    /// <param name="practices">The run's practices, as <see cref="DistinctPractices"/> lists them.</param>
    /// <param name="lossesOf">Held-out losses of the stage's sources under a checkpoint's weights, for mixtures that compare with one; null outside a run.</param>
    /// <exception cref="Core.PerennialException">Exit 2: its data do not make a stream.</exception>
    public RunStage(int index, StageRecipe recipe, PreparedData data, int time, IReadOnlyList<ComponentSpec> practices, Func<RunStage, string, IReadOnlyList<double>>? lossesOf = null)
    {
        ArgumentNullException.ThrowIfNull(recipe);
        ArgumentNullException.ThrowIfNull(practices);
        (Index, Recipe) = (index, recipe);
        Steps = StepsOf(index, recipe, (long)recipe.Recipe.Training.Batch * time);
        Stream = new SampleStream(data, recipe.Recipe.Data, time, Key(recipe), new RunShape(recipe.Recipe.Training.Batch, Math.Max(1, Steps), time), lossesOf is null ? null : folder => lossesOf(this, folder));
        Objective = recipe.Recipe.Objective.Create(data.Tokenizer);
        Schedule = recipe.Recipe.Schedule.Create();
        var mine = recipe.Recipe.Practices.Select(practice => RecipeWriter.ToYaml(practice)).ToHashSet(StringComparer.Ordinal);
        Practices = [.. Enumerable.Range(0, practices.Count).Where(i => mine.Contains(practices[i].Yaml))];
    }

    /// <summary>Its number, from 0.</summary>
    public int Index { get; }

    /// <summary>Its recipe.</summary>
    public StageRecipe Recipe { get; }

    /// <summary>Its samples.</summary>
    public SampleStream Stream { get; }

    /// <summary>What is learned.</summary>
    public IObjective Objective { get; }

    /// <summary>The rate's shape.</summary>
    public ISchedule Schedule { get; }

    /// <summary>Positions, among the run's practices, of those that take part.</summary>
    public IReadOnlyList<int> Practices { get; }

    /// <summary>Planned steps.</summary>
    public long Steps { get; }

    /// <summary>A practice that some stage names.</summary>
    /// <param name="Spec">Its choice.</param>
    /// <param name="Yaml">The choice as text: equal texts are one practice.</param>
    public sealed record ComponentSpec(Core.ComponentSpec<IPractice> Spec, string Yaml);

    /// <summary>The practices of all stages, each once, in the order in which they are first named.</summary>
    public static IReadOnlyList<ComponentSpec> DistinctPractices(IEnumerable<StageRecipe> stages)
    {
        ArgumentNullException.ThrowIfNull(stages);
        var found = new List<ComponentSpec>();
        foreach (var stage in stages)
        {
            // Two equal entries of one stage stay two, as in a recipe without stages; between stages the n-th equal entries are one.
            var seen = new Dictionary<string, int>(StringComparer.Ordinal);
            foreach (var practice in stage.Recipe.Practices)
            {
                var yaml = RecipeWriter.ToYaml(practice);
                var number = seen[yaml] = seen.GetValueOrDefault(yaml) + 1;
                if (found.Count(one => one.Yaml == yaml) < number) found.Add(new ComponentSpec(practice, yaml));
            }
        }
        return found;
    }

    /// <summary>Planned steps of a stage: tokens are new ones where a practice adds others on top.</summary>
    /// <param name="index">Its number.</param>
    /// <param name="stage">The stage.</param>
    /// <param name="tokensPerStep">Tokens of one step.</param>
    public static long StepsOf(int index, StageRecipe stage, long tokensPerStep)
    {
        ArgumentNullException.ThrowIfNull(stage);
        if (stage.From is not null) return 0;
        var training = stage.Recipe.Training;
        if (training.Steps is not null) return training.TotalSteps(tokensPerStep);
        var fresh = 1 - stage.Recipe.Practices.Select(practice => practice.Options).OfType<IFillsBatch>().Sum(options => 1 - options.FreshShare(index));
        if (fresh <= 0) throw Core.PerennialException.Usage("practices: replayed samples leave no row for new ones; lower their rates");
        return (long)Math.Ceiling(training.TotalSteps(1) / (tokensPerStep * fresh) - 1e-9);
    }

    // Equal names read equal data in equal order, whatever went before; a run without stages keeps the seed's own order.
    private static ulong Key(StageRecipe recipe) => recipe.Name.Length == 0 ? recipe.Recipe.Seed : recipe.Recipe.Seed ^ XxHash3.HashToUInt64(Encoding.UTF8.GetBytes(recipe.Name));
}
