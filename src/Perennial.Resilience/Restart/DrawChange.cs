using System.Globalization;

namespace Perennial.Resilience.Restart;

/// <summary>What distinguishes one attempt from the next.</summary>
/// <param name="Seed">The attempt's seed.</param>
/// <param name="SkippedBatches">Batches of the data order that are passed over.</param>
/// <param name="RateFactor">Factor on the learning rate.</param>
public sealed record AttemptDraw(ulong Seed, long SkippedBatches = 0, double RateFactor = 1);

/// <summary>One change that a restart makes to the draw.</summary>
/// <param name="NewSeed">Take the next seed.</param>
/// <param name="SkipBatches">Skip so many more batches.</param>
/// <param name="RateFactor">Multiply the rate.</param>
public sealed record DrawChange(bool NewSeed, long SkipBatches, double RateFactor)
{
    private const ulong SeedStep = 0x9E3779B97F4A7C15;

    /// <summary>Reads <c>seed</c>, <c>skip-batches N</c> or <c>rate*X</c>; null for anything else and for what changes nothing.</summary>
    public static DrawChange? TryParse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        text = text.Trim();
        if (text == "seed") return new(true, 0, 1);
        if (text.StartsWith("skip-batches ", StringComparison.Ordinal) && long.TryParse(text.AsSpan(13), NumberStyles.None, CultureInfo.InvariantCulture, out var skip) && skip > 0)
            return new(false, skip, 1);
        if (text.StartsWith("rate*", StringComparison.Ordinal) && double.TryParse(text.AsSpan(5), NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var factor) && factor > 0 && factor != 1)
            return new(false, 0, factor);
        return null;
    }

    /// <summary>The draw after this change.</summary>
    public AttemptDraw Apply(AttemptDraw draw)
    {
        ArgumentNullException.ThrowIfNull(draw);
        return new(NewSeed ? unchecked(draw.Seed + SeedStep) : draw.Seed, draw.SkippedBatches + SkipBatches, draw.RateFactor * RateFactor);
    }
}
