using System.ComponentModel.DataAnnotations;
using System.IO.Hashing;
using System.Text;
using Perennial.Core;
using Perennial.Data.Preparation;

namespace Perennial.Data.Filters;

/// <summary>Options of <see cref="GradedDamage"/>.</summary>
public sealed record GradedDamageOptions
{
    /// <summary>Share of words replaced at quality 0; at quality q it is this times 1 − q.</summary>
    [Range(0.0, 1.0)]
    public double Amount { get; init; } = 0.5;

    /// <summary>Correlation of the score <c>noisy-quality</c> with the true quality.</summary>
    [Range(0.05, 1.0)]
    public double Correlation { get; init; } = 0.7;
}

/// <summary>
/// Damages training documents by a known degree, for experiments about data quality: each document gets a quality q, uniform on
/// 0 … 1, and every word is replaced with probability amount · (1 − q) by a word drawn from the word frequencies of the training
/// text. Sets the scores <c>quality</c> (q) and <c>noisy-quality</c> (q plus normal noise). Held-out documents stay as they are.
/// </summary>
/// <remarks>
/// Words are stretches without white space; white space stays. Draws are keyed by the run's seed and the document's text and
/// number, so they depend neither on parallelism nor on other documents. Replacements come from the same frequencies as the text,
/// so vocabulary and word lengths stay alike at every quality and only the order that makes language of them is lost.
/// </remarks>
/// <param name="options">How much.</param>
/// <param name="context">The run's seed.</param>
[Component("graded-damage")]
public sealed class GradedDamage(GradedDamageOptions options, FilterContext context) : IFilter
{
    private readonly WordFrequencies words = new();

    /// <inheritdoc/>
    public bool AppliesToHeldOut => false;

    /// <inheritdoc/>
    public bool Learns => true;

    /// <inheritdoc/>
    public void Learn(Document document, long index)
    {
        ArgumentNullException.ThrowIfNull(document);
        words.Add(document.Text.Span);
    }

    /// <inheritdoc/>
    public FilterResult Apply(Document document, long index)
    {
        ArgumentNullException.ThrowIfNull(document);
        var key = XxHash3.HashToUInt64(document.Text.Span, (long)context.Seed) ^ (ulong)index * 0x9E3779B97F4A7C15;
        var draws = 0UL;
        double Draw() => Philox.Uniform(context.Seed, RandomPurpose.Corruption, key & 0xFFFF_FFFF_FFFF, draws++);
        var quality = Draw();
        // Noise of variance Var(q) · (1/ρ² − 1) makes the correlation ρ; q is uniform, Var(q) = 1/12.
        var spread = Math.Sqrt((1 / (options.Correlation * options.Correlation) - 1) / 12);
        var noisy = quality + spread * Math.Sqrt(-2 * Math.Log(1 - Draw())) * Math.Cos(2 * Math.PI * Draw());
        var share = options.Amount * (1 - quality);

        var damaged = new ArrayBuilder(document.Text.Length);
        var text = document.Text.Span;
        for (var at = 0; at < text.Length;)
        {
            var start = at;
            while (at < text.Length && WordFrequencies.IsSpace(text[at])) at++;
            damaged.Add(text[start..at]);
            start = at;
            while (at < text.Length && !WordFrequencies.IsSpace(text[at])) at++;
            if (at > start) damaged.Add(Draw() < share ? words.Pick(Draw()) : text[start..at]);
        }
        var scores = new Dictionary<string, double>(document.Scores) { ["quality"] = quality, ["noisy-quality"] = noisy };
        return FilterResult.Keep(document with { Text = damaged.Written, Scores = scores });
    }

    private sealed class ArrayBuilder(int capacity)
    {
        private readonly System.Buffers.ArrayBufferWriter<byte> bytes = new(Math.Max(1, capacity));

        public ReadOnlyMemory<byte> Written => bytes.WrittenMemory;

        public void Add(ReadOnlySpan<byte> piece) => System.Buffers.BuffersExtensions.Write(bytes, piece);
    }
}
