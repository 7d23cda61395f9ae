using System.ComponentModel.DataAnnotations;
using System.Text.Json.Nodes;
using Perennial.Core;

namespace Perennial.Data.Mixtures;

/// <summary>Options of <see cref="BanditMixture"/>.</summary>
public sealed record BanditMixtureOptions : OnlineMixtureOptions
{
    /// <summary>Weight of the old reward in its moving average.</summary>
    [Range(0.0, 0.9999)]
    public double Memory { get; init; } = 0.9;
}

/// <summary>
/// Online data mixing as a bandit (Albalak et al. 2023, ODM, arXiv 2312.02406; Exp3): the reward of a source is its loss over its share, as a
/// moving average R; p_i = (1 − k ε_t) softmax(ε_(t−1) R)_i + ε_t with ε_t = min(1/k, √(ln k / (k t))). A source that gave no sample since
/// the last measurement keeps its reward. The paper takes the losses of training batches; here they are held-out ones.
/// </summary>
[Component("bandit")]
public sealed class BanditMixture : OnlineMixture
{
    private readonly BanditMixtureOptions options;
    private double[] rewards;
    private double[] shares;
    private long[] delivered;
    private long round;

    /// <summary>Starts from the recipe's weights.</summary>
    public BanditMixture(BanditMixtureOptions options, MixtureContext context)
        : base(options, context)
    {
        this.options = options;
        (rewards, shares, delivered) = (new double[Count], Prior, new long[Count]);
    }

    /// <inheritdoc/>
    protected override double[] Shares(MixtureMoment moment, IReadOnlyList<double> losses)
    {
        if (round > 0)
        {
            for (var i = 0; i < Count; i++)
            {
                if (moment.Delivered[i] > delivered[i]) rewards[i] = options.Memory * rewards[i] + (1 - options.Memory) * losses[i] / shares[i];
            }
            var drawn = Simplex.Softmax([.. rewards.Select(reward => Exploration(round) * reward)]);
            shares = [.. drawn.Select(share => (1 - Count * Exploration(round + 1)) * share + Exploration(round + 1))];
        }
        delivered = [.. moment.Delivered];
        round++;
        return shares;
    }

    /// <inheritdoc/>
    public override JsonObject? Save() => new() { ["round"] = round, ["rewards"] = ToJson(rewards), ["shares"] = ToJson(shares), ["delivered"] = new JsonArray([.. delivered.Select(count => (JsonNode)count)]) };

    /// <inheritdoc/>
    public override void Load(JsonObject? state)
    {
        round = (long?)state?["round"] ?? 0;
        rewards = state is null ? new double[Count] : FromJson(state["rewards"]);
        shares = state is null ? Prior : FromJson(state["shares"]);
        delivered = state is null ? new long[Count] : [.. state["delivered"]!.AsArray().Select(count => (long)count!)];
    }

    private double Exploration(long t) => Count < 2 ? 0 : Math.Min(1.0 / Count, Math.Sqrt(Math.Log(Count) / (Count * (double)t)));
}
