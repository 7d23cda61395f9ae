using System.ComponentModel.DataAnnotations;
using System.Text.Json.Nodes;
using Perennial.Core;

namespace Perennial.Data.Mixtures;

/// <summary>Options of <see cref="PerplexityMixture"/>.</summary>
public sealed record PerplexityMixtureOptions : OnlineMixtureOptions
{
    /// <summary>a: how strongly shares follow; below 0 the wrong way round, as a control.</summary>
    [Range(-10.0, 10.0)]
    public double Gain { get; init; } = 0.2;

    /// <summary>w: weight of each topic; 1 each when left out.</summary>
    public IReadOnlyList<double> TopicWeights { get; init; } = [];

    /// <summary>So many sources, the first ones, are topics whose shares are chosen; the others keep the recipe's. 0: all are.</summary>
    [Range(0, 1_000_000)]
    public int Topics { get; init; }

    /// <summary>Whether changes of the loss are compared instead of changes of the perplexity. Perplexities of hard topics are large, and their changes would drown the others'.</summary>
    public bool Log { get; init; }

    /// <summary>Weight of the old in the moving average of what is measured, against noise.</summary>
    [Range(0.0, 0.999)]
    public double Smoothing { get; init; }

    /// <summary>Largest share of a topic, as a multiple of the equal share.</summary>
    [Range(1.0, 1e6)]
    public double Cap { get; init; } = 3;

    /// <inheritdoc/>
    public override IEnumerable<(string Key, string Problem)> Problems()
    {
        foreach (var problem in base.Problems()) yield return problem;
        if (TopicWeights.Any(weight => weight < 0)) yield return ("topic-weights", "must be at least 0");
    }
}

/// <summary>
/// Topic shares that follow the change of each topic's perplexity (Llama-3-SynE, Chen et al. 2024, arXiv 2407.18743, section 3.1): δ_i = Δp_i / Σ_j |Δp_j|,
/// f_i = 1 + a·δ_i·w_i, r_i ← r_i·f_i / Σ_j r_j·f_j. What gets worse, or improves least, gets more.
/// </summary>
[Component("perplexity-feedback")]
public sealed class PerplexityMixture : OnlineMixture
{
    private readonly PerplexityMixtureOptions options;
    private readonly int topics;
    private readonly double mass;
    private double[] shares;
    private double[]? before;

    /// <summary>Starts from the recipe's weights.</summary>
    /// <exception cref="PerennialException">Exit 2: there are fewer sources than topics, or other than as many weights.</exception>
    public PerplexityMixture(PerplexityMixtureOptions options, MixtureContext context)
        : base(options, context)
    {
        this.options = options;
        topics = options.Topics == 0 ? Count : options.Topics;
        if (topics > Count) throw PerennialException.Usage($"data.mixture.topics: {topics} topics of {Count} sources");
        if (options.TopicWeights.Count > 0 && options.TopicWeights.Count != topics) throw PerennialException.Usage($"data.mixture.topic-weights: {options.TopicWeights.Count} weights for {topics} topics");
        shares = Prior;
        mass = shares.Take(topics).Sum();
    }

    /// <inheritdoc/>
    protected override double[] Shares(MixtureMoment moment, IReadOnlyList<double> losses)
    {
        ArgumentNullException.ThrowIfNull(losses);
        double[] present = [.. losses.Take(topics).Select((loss, i) =>
        {
            var measured = options.Log ? loss : Math.Exp(loss);
            return before is null ? measured : options.Smoothing * before[i] + (1 - options.Smoothing) * measured;
        })];
        if (before is not null)
        {
            double[] changes = [.. present.Zip(before, (now, then) => now - then)];
            var sum = changes.Where((_, i) => IsActive(i)).Sum(Math.Abs);
            if (sum > 0)
            {
                double[] factors = [.. changes.Select((change, i) => Math.Max(0, 1 + options.Gain * change / sum * (options.TopicWeights.Count == 0 ? 1 : options.TopicWeights[i])))];
                shares = [.. Capped([.. shares.Take(topics).Zip(factors, (share, factor) => share * factor)]), .. shares.Skip(topics)];
            }
        }
        before = present;
        return shares;
    }

    /// <summary>Topic shares that sum to the topics' mass, none above the cap; what is cut off goes to the others in proportion.</summary>
    private double[] Capped(double[] wanted)
    {
        var active = Enumerable.Range(0, topics).Count(IsActive);
        var most = Math.Max(1.0, Math.Min(options.Cap, active)) * mass / active;
        var capped = new bool[topics];
        while (true)
        {
            var free = wanted.Where((_, i) => !capped[i]).Sum();
            if (free <= 0) return wanted;
            var left = mass - most * capped.Count(one => one);
            wanted = [.. wanted.Select((share, i) => capped[i] ? most : share / free * left)];
            var above = Enumerable.Range(0, topics).Where(i => !capped[i] && wanted[i] > most * (1 + 1e-12)).ToList();
            if (above.Count == 0) return wanted;
            foreach (var i in above) capped[i] = true;
        }
    }

    /// <inheritdoc/>
    public override JsonObject? Save() => new() { ["shares"] = ToJson(shares), ["before"] = before is null ? null : ToJson(before) };

    /// <inheritdoc/>
    public override void Load(JsonObject? state)
    {
        shares = state is null ? Prior : FromJson(state["shares"]);
        before = state?["before"] is { } values ? FromJson(values) : null;
    }
}
