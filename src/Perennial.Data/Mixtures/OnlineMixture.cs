using System.Text.Json.Nodes;
using Perennial.Core;

namespace Perennial.Data.Mixtures;

/// <summary>A mixture that follows losses at equal intervals: derive and say which shares follow from them.</summary>
public abstract class OnlineMixture : IMixture
{
    private readonly OnlineMixtureOptions options;
    private readonly long every;

    /// <summary>Lays the intervals out.</summary>
    /// <exception cref="PerennialException">Exit 2: a source has no window, or the floor leaves nothing.</exception>
    protected OnlineMixture(OnlineMixtureOptions options, MixtureContext context)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(context);
        (this.options, Context) = (options, context);
        every = context.Run.ToSamples(options.Every);
        var active = context.Sources.Count(source => source.Weight > 0);
        if (options.Floor * active > 1) throw PerennialException.Usage($"data.mixture.floor: {options.Floor:G} for each of {active} sources is more than all; give at most {1.0 / active:G3}");
    }

    /// <summary>The sources and the run.</summary>
    protected MixtureContext Context { get; }

    /// <summary>Whether a source takes part.</summary>
    protected bool IsActive(int source) => Context.Sources[source].Weight > 0;

    /// <summary>Number of sources.</summary>
    protected int Count => Context.Sources.Count;

    /// <summary>The recipe's weights as shares: where an online mixture starts.</summary>
    protected double[] Prior => Simplex.Normalize(Context.Sources.Select(source => source.Weight));

    /// <inheritdoc/>
    public bool IsOnline => true;

    /// <inheritdoc/>
    public long Next(long position) => (position / every + 1) * every;

    /// <inheritdoc/>
    public IReadOnlyList<double> Weights(MixtureMoment moment, IReadOnlyList<double>? losses)
    {
        ArgumentNullException.ThrowIfNull(moment);
        ArgumentNullException.ThrowIfNull(losses);
        // A source without weight of its own takes no part: a stage of a run may leave some out.
        var wanted = Shares(moment, losses);
        var shares = Simplex.Floor(Simplex.Normalize(wanted.Select((share, i) => IsActive(i) ? share : 0)), options.Floor, IsActive);
        return Simplex.WithoutExhausted(shares, Context, moment, options.Epochs);
    }

    /// <summary>The shares that follow, before floor and epoch bound; they sum to 1.</summary>
    protected abstract double[] Shares(MixtureMoment moment, IReadOnlyList<double> losses);

    /// <inheritdoc/>
    public abstract JsonObject? Save();

    /// <inheritdoc/>
    public abstract void Load(JsonObject? state);

    /// <summary>Numbers as JSON.</summary>
    protected static JsonArray ToJson(IEnumerable<double> values) => [.. values.Select(value => (JsonNode)value)];

    /// <summary>Numbers from JSON.</summary>
    protected static double[] FromJson(JsonNode? values) => [.. values!.AsArray().Select(value => (double)value!)];
}
