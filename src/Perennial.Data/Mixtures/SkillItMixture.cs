using System.ComponentModel.DataAnnotations;
using System.Text.Json.Nodes;
using Perennial.Core;

namespace Perennial.Data.Mixtures;

/// <summary>Options of <see cref="SkillItMixture"/>.</summary>
public sealed record SkillItMixtureOptions : OnlineMixtureOptions
{
    /// <summary>η, the step of the mirror descent. It multiplies sums of losses, so it depends on their scale unless <see cref="Relative"/>.</summary>
    [Range(0.0, 1000.0)]
    public double Eta { get; init; } = 0.5;

    /// <summary>w: how many of the newest measurements count.</summary>
    [Range(1, 10_000)]
    public int Window { get; init; } = 3;

    /// <summary>Whether losses are divided by those at the start of the run.</summary>
    public bool Relative { get; init; }

    /// <summary>Which source helps which: <c>learn</c>, <c>identity</c>, <c>complete</c>, <c>shuffled</c> (learned, then permuted: a control), or a JSON file with a matrix.</summary>
    public string Graph { get; init; } = SkillGraph.Learn;

    /// <summary>How <c>graph: learn</c> and <c>shuffled</c> learn it (ignored otherwise).</summary>
    public GraphLearningOptions Learning { get; init; } = new();

    /// <inheritdoc/>
    public override IEnumerable<(string Key, string Problem)> Problems()
    {
        foreach (var problem in base.Problems()) yield return problem;
        if (!SkillGraph.Words.Contains(Graph) && !File.Exists(Graph)) yield return ("graph", $"must be one of {string.Join(", ", SkillGraph.Words)}, or a JSON file; '{Graph}' is neither");
    }
}

/// <summary>How a skills graph is learned by short runs from the run's start.</summary>
public sealed record GraphLearningOptions
{
    /// <summary>Which runs.</summary>
    public GraphMethod Method { get; init; } = GraphMethod.Pairs;

    /// <summary>Steps of each run; all of them together are told as a share of the run's.</summary>
    [Range(1, 1_000_000)]
    public int Steps { get; init; } = 50;

    /// <summary>Weight of a learned edge between different sources.</summary>
    [Range(0.0, 1.0)]
    public double OffDiagonal { get; init; } = 0.5;

    /// <summary>Relative gain that makes an edge.</summary>
    [Range(0.0, 1.0)]
    public double Threshold { get; init; } = 0.02;
}

/// <summary>Which short runs a skills graph is learned from.</summary>
public enum GraphMethod
{
    /// <summary>Every source alone and every two half and half: an edge i → j where j's loss ends lower with i beside it than from j alone, at the same steps (Chen et al. 2023, algorithm 2).</summary>
    Pairs,

    /// <summary>Every source alone: the edge's weight is the relative drop of j's loss over its drop from j itself (the approximate algorithm; linear in the number of sources).</summary>
    Singles,
}

/// <summary>
/// Skill-It (Chen et al. 2023, arXiv 2307.14430, algorithm 1): a graph A says which source helps which (A_ij: i helps j). Round 1 takes
/// p_i ∝ exp(η Σ_j A_ij), every further one p_i ∝ exp(η Σ over the last w measurements of Σ_j A_ij L_j): samples go where they help what is
/// still badly learned. The product is not kept: each round starts again from the prior.
/// </summary>
[Component("skill-it")]
public sealed class SkillItMixture : OnlineMixture, IGraphMixture
{
    private readonly SkillItMixtureOptions options;
    private double[][]? graph;
    private List<double[]> history = [];
    private double[]? initial;

    /// <summary>Reads the graph, where it is given.</summary>
    /// <exception cref="PerennialException">Exit 2: the file holds no matrix of the sources' size.</exception>
    public SkillItMixture(SkillItMixtureOptions options, MixtureContext context)
        : base(options, context)
    {
        this.options = options;
        graph = SkillGraph.Given(options.Graph, Count);
    }

    /// <inheritdoc/>
    public GraphLearningOptions? Wanted => graph is null ? options.Learning : null;

    /// <inheritdoc/>
    public void Take(double[][] learned) => graph = options.Graph == SkillGraph.Shuffled ? SkillGraph.Permuted(learned) : learned;

    /// <summary>A, <c>[sources, sources]</c>; null until it is learned.</summary>
    public IReadOnlyList<IReadOnlyList<double>>? Graph => graph;

    /// <inheritdoc/>
    protected override double[] Shares(MixtureMoment moment, IReadOnlyList<double> losses)
    {
        if (graph is null) throw new InvalidOperationException("the skills graph is not learned yet");
        if (initial is null) initial = [.. losses];
        else history = [.. history.Append([.. losses]).TakeLast(options.Window)];
        var prior = Prior;
        return Simplex.Softmax([.. Enumerable.Range(0, Count).Select(i => Math.Log(prior[i]) + options.Eta * (history.Count == 0
            ? graph[i].Sum()
            : history.Sum(measured => Enumerable.Range(0, Count).Sum(j => graph[i][j] * (options.Relative ? measured[j] / Math.Max(initial[j], 1e-12) : measured[j])))))]);
    }

    /// <inheritdoc/>
    public override JsonObject? Save() => new()
    {
        ["graph"] = graph is null ? null : new JsonArray([.. graph.Select(row => (JsonNode)ToJson(row))]),
        ["initial"] = initial is null ? null : ToJson(initial),
        ["history"] = new JsonArray([.. history.Select(measured => (JsonNode)ToJson(measured))]),
    };

    /// <inheritdoc/>
    public override void Load(JsonObject? state)
    {
        graph = state?["graph"] is JsonArray rows ? [.. rows.Select(FromJson)] : SkillGraph.Given(options.Graph, Count);
        initial = state?["initial"] is { } values ? FromJson(values) : null;
        history = state?["history"] is JsonArray measured ? [.. measured.Select(FromJson)] : [];
    }
}
