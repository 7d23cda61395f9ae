using Perennial.Core;

namespace Perennial.Models.Inference;

/// <summary>Draws a token from logits: temperature, then top-k, then top-p, then one keyed uniform draw.</summary>
public static class TokenSampler
{
    /// <summary>The drawn id.</summary>
    /// <param name="logits"><c>[vocabulary]</c>.</param>
    /// <param name="options">How.</param>
    /// <param name="index">Number of the draw: with the seed it decides it.</param>
    public static int Draw(ReadOnlySpan<float> logits, GenerationOptions options, ulong index)
    {
        ArgumentNullException.ThrowIfNull(options);
        if (options.Temperature == 0) return ArgMax(logits);
        var ids = new int[logits.Length];
        var probabilities = new double[logits.Length];
        var highest = (double)logits[ArgMax(logits)];
        for (var i = 0; i < ids.Length; i++)
        {
            ids[i] = i;
            // Negated, so that sorting brings the most probable first; equal ones stay in the order of ids.
            probabilities[i] = -Math.Exp((logits[i] - highest) / options.Temperature);
        }
        Array.Sort(probabilities, ids);
        var kept = options.TopK > 0 ? Math.Min(options.TopK, ids.Length) : ids.Length;
        var total = 0.0;
        for (var i = 0; i < kept; i++) total -= probabilities[i];
        if (options.TopP < 1)
        {
            var (limit, sum, count) = (options.TopP * total, 0.0, 0);
            while (count < kept && sum < limit) sum -= probabilities[count++];
            (kept, total) = (Math.Max(1, count), sum);
        }
        var draw = Philox.Uniform(options.Seed, RandomPurpose.Generation, 0, index) * total;
        for (var i = 0; i < kept; i++)
        {
            draw += probabilities[i];
            if (draw < 0) return ids[i];
        }
        return ids[kept - 1];
    }

    private static int ArgMax(ReadOnlySpan<float> logits)
    {
        var best = 0;
        for (var i = 1; i < logits.Length; i++)
        {
            if (logits[i] > logits[best]) best = i;
        }
        return best;
    }
}
