using System.ComponentModel.DataAnnotations;
using Perennial.Core;

namespace Perennial.Experiments.Papers;

/// <summary>A paper's comparison as <c>paper.yaml</c> states it: what is claimed, what is trained, and by which rule the verdict falls.</summary>
public sealed record Paper : IValidatedOptions
{
    /// <summary>Its number in the catalogue.</summary>
    [Range(1, 999)]
    public required int Number { get; init; }

    /// <summary>The paper's title.</summary>
    public required string Title { get; init; }

    /// <summary>What the paper claims, with its own figures.</summary>
    public required string Claim { get; init; }

    /// <summary>What is measured here instead.</summary>
    public required string Measure { get; init; }

    /// <summary>The recipe that all arms start from: a file beside <c>paper.yaml</c>. Only an experiment may do without.</summary>
    public string? Recipe { get; init; }

    /// <summary>
    /// What is measured instead of one training an arm and seed: the kind of an <see cref="Measured.IExperiment"/> and its options, which arms and sizes
    /// change by keys that begin with <c>experiment.</c>. Null: the recipe is trained.
    /// </summary>
    public Core.Recipes.RecipeNode? Experiment { get; init; }

    /// <summary>The numbers of an experiment that are judged and shown, arm by arm: cells <c>arm@measure</c>.</summary>
    public IReadOnlyList<string> Measures { get; init; } = [];

    /// <summary>How many (arm, seed) pairs are run side by side: 1 where times are measured; null for one a core.</summary>
    [Range(1, 1024)]
    public int? Parallel { get; init; }

    /// <summary>The evaluation metric that everything is judged by; lower is better. Ignored when an experiment is named.</summary>
    public string Metric { get; init; } = "loss";

    /// <summary>Which weights of every run are judged: <c>raw</c>, and names that practices give theirs (such as <c>average</c>).</summary>
    [MinLength(1)]
    public IReadOnlyList<string> Weights { get; init; } = [Cell.Raw];

    /// <summary>What is compared.</summary>
    [MinLength(1)]
    public required IReadOnlyList<Arm> Arms { get; init; }

    /// <summary>A search that all arms share; null for none.</summary>
    public Tuning? Tuning { get; init; }

    /// <summary>How much is spent.</summary>
    public required Budget Budget { get; init; }

    /// <summary>What must come out, and by how much.</summary>
    [MinLength(1)]
    public required IReadOnlyList<Hypothesis> Hypotheses { get; init; }

    /// <summary>Remarks for readers of the result: what is smaller here, what was chosen and why.</summary>
    public IReadOnlyList<string> Notes { get; init; } = [];

    /// <summary>Every cell of the comparison: each arm with each of its weights, or with each of its measures.</summary>
    public IEnumerable<Cell> Cells() => Arms.SelectMany(arm => (Experiment is null ? Weights : arm.Measures ?? Measures).Select(name => new Cell(arm.Name, name)));

    /// <summary>How values are rounded before anything is computed from them.</summary>
    public Verdicts.Rounding Rounding => Experiment is null ? Verdicts.Rounding.FourDecimals : Verdicts.Rounding.SixDigits;

    /// <inheritdoc/>
    public IEnumerable<(string Key, string Problem)> Problems()
    {
        if (Recipe is null && Experiment is null) yield return ("recipe", "is needed: the file that all arms start from (or name an experiment)");
        if (Experiment is null && (Measures.Count > 0 || Arms.Any(arm => arm.Measures is not null))) yield return ("measures", "belong to an experiment; trainings are judged by 'metric' and 'weights'");
        if (Experiment is not null && Arms.Any(arm => (arm.Measures ?? Measures).Count == 0)) yield return ("measures", "are needed: which of the experiment's numbers are judged");
        if (Experiment is not null && Hypotheses.SelectMany(hypothesis => hypothesis.Conditions).Any(condition => condition.LowestIn.Count > 0 || condition.Contrast.ContainsKey(Condition.Lowest)))
            yield return ("hypotheses", "cannot ask for the lowest of all cells: an experiment's measures have different units");
        foreach (var twice in Arms.GroupBy(arm => arm.Name).Where(group => group.Count() > 1)) yield return ("arms", $"names '{twice.Key}' twice");
        foreach (var twice in Hypotheses.GroupBy(hypothesis => hypothesis.Id).Where(group => group.Count() > 1)) yield return ("hypotheses", $"names '{twice.Key}' twice");
        if (Tuning is not null && !Tuning.On(Arms).Any()) yield return ("tuning.arm", $"is '{Tuning.Arm}', which is no arm");
        var cells = Cells().Select(cell => cell.ToString()).ToHashSet(StringComparer.Ordinal);
        foreach (var hypothesis in Hypotheses)
            foreach (var condition in hypothesis.Conditions)
                foreach (var name in condition.Contrast.Keys.Concat(condition.LowestIn))
                    if (name != Condition.Lowest && !cells.Contains(name))
                        yield return ("hypotheses", $"'{hypothesis.Id}' speaks of '{name}', which is no cell{Core.Recipes.Nearest.Hint(name, cells)}");
        if (!Hypotheses.Any(hypothesis => hypothesis.Decides)) yield return ("hypotheses", "need at least one with 'decides: true': what refutes the claim when it fails");
    }
}

/// <summary>One way of training.</summary>
public sealed record Arm
{
    /// <summary>Its name.</summary>
    [RegularExpression("[a-z0-9]+(-[a-z0-9]+)*")]
    public required string Name { get; init; }

    /// <summary>Arms of one group share a chart; by default all do.</summary>
    public string Group { get; init; } = "all arms";

    /// <summary>What it changes of the base recipe, or with <c>experiment.</c> in front of the experiment's options: dotted keys and their values.</summary>
    public IReadOnlyDictionary<string, Core.Recipes.RecipeNode> Set { get; init; } = new Dictionary<string, Core.Recipes.RecipeNode>();

    /// <summary>Which numbers an experiment judges in this arm; null for those of the paper.</summary>
    public IReadOnlyList<string>? Measures { get; init; }
}

/// <summary>What one number is about: an arm and which of its weights were evaluated. Written <c>arm</c>, or <c>arm@weights</c>.</summary>
/// <param name="Arm">The arm.</param>
/// <param name="Weights">The weights; in an experiment the measure.</param>
public sealed record Cell(string Arm, string Weights)
{
    /// <summary>The weights that training itself moves.</summary>
    public const string Raw = "raw";

    /// <inheritdoc/>
    public override string ToString() => Weights == Raw ? Arm : $"{Arm}@{Weights}";
}
