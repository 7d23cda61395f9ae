using System.ComponentModel.DataAnnotations;
using Perennial.Core;

namespace Perennial.Data.Mixtures;

/// <summary>Options of <see cref="ScheduledMixture"/>.</summary>
public sealed record ScheduledMixtureOptions : IValidatedOptions
{
    /// <summary>Weights at points of the run, in order.</summary>
    [MinLength(2)]
    public required IReadOnlyList<MixturePoint> Points { get; init; }

    /// <summary>How often the weights follow the line between points.</summary>
    public RunLength Every { get; init; } = new(0.01, RunUnit.Fraction);

    /// <inheritdoc/>
    public IEnumerable<(string Key, string Problem)> Problems()
    {
        if (Every.Amount <= 0) yield return ("every", "must be above 0");
        foreach (var point in Points.Where(point => !MixtureWeights.Are(point.Weights))) yield return ("points", $"at {point.At}: {MixtureWeights.Rule}");
    }
}

/// <summary>Weights at one point of the run.</summary>
public sealed record MixturePoint
{
    /// <summary>Where, in tokens, steps or a share of the run.</summary>
    public required RunLength At { get; init; }

    /// <summary>A weight for each source, in the recipe's order.</summary>
    public required IReadOnlyList<double> Weights { get; init; }
}

/// <summary>Weights that move on straight lines between points of the run; constant before the first and after the last.</summary>
[Component("scheduled")]
public sealed class ScheduledMixture : IMixture
{
    private readonly (long At, double[] Shares)[] points;
    private readonly long every;

    /// <summary>Lays the points out.</summary>
    /// <exception cref="PerennialException">Exit 2: weights are not one for each source, or points are not in order.</exception>
    public ScheduledMixture(ScheduledMixtureOptions options, MixtureContext context)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(context);
        foreach (var point in options.Points) MixtureWeights.RequireOneEach(point.Weights, context, "data.mixture.points");
        points = [.. options.Points.Select(point => (context.Run.ToSamples(point.At), Simplex.Normalize(point.Weights)))];
        if (points.Zip(points.Skip(1)).Any(pair => pair.First.At >= pair.Second.At)) throw PerennialException.Usage("data.mixture.points: 'at' must rise from point to point");
        every = context.Run.ToSamples(options.Every);
    }

    /// <inheritdoc/>
    public long Next(long position) => position >= points[^1].At ? long.MaxValue : position < points[0].At ? points[0].At : Math.Min(position + every, points[^1].At);

    /// <inheritdoc/>
    public IReadOnlyList<double> Weights(MixtureMoment moment, IReadOnlyList<double>? losses)
    {
        ArgumentNullException.ThrowIfNull(moment);
        // The middle of the stretch stands for it: over the run the shares are those of the line.
        var next = Next(moment.Position);
        var position = next == long.MaxValue ? points[^1].At : (moment.Position + next) / 2.0;
        if (position <= points[0].At) return points[0].Shares;
        var right = Math.Max(1, Array.FindIndex(points, point => position <= point.At));
        var ((from, start), (until, end)) = (points[right - 1], points[right]);
        var along = (position - from) / (until - from);
        return [.. start.Zip(end, (a, b) => a + along * (b - a))];
    }
}
