using System.ComponentModel.DataAnnotations;
using Perennial.Core;
using Perennial.Data.Text;

namespace Perennial.Data.Deduplication;

/// <summary>Turns text into a vector of which alike texts have alike directions. Thread-safe and pure; options that name files say so (<see cref="Curation.IReadsFiles"/>).</summary>
[ComponentRole("embedder")]
public interface IEmbedder
{
    /// <summary>Length of a vector.</summary>
    int Width { get; }

    /// <summary>Writes the vector of a text, <c>[width]</c>, not normalized.</summary>
    void Embed(ReadOnlySpan<byte> text, Span<float> vector);
}

/// <summary>Options of <see cref="LexicalEmbedder"/>.</summary>
public sealed record LexicalEmbedderOptions
{
    /// <summary>Length of a vector.</summary>
    [Range(16, 4096)]
    public int Width { get; init; } = 256;
}

/// <summary>An embedding without a model: hashed words and pairs of words, weighted by the logarithm of their number, in random directions (feature hashing, Weinberger et al., ICML 2009).</summary>
/// <param name="options">Length of a vector.</param>
[Component("lexical")]
public sealed class LexicalEmbedder(LexicalEmbedderOptions options) : IEmbedder
{
    /// <inheritdoc/>
    public int Width => options.Width;

    /// <inheritdoc/>
    public void Embed(ReadOnlySpan<byte> text, Span<float> vector)
    {
        var counts = new Dictionary<ulong, int>();
        var words = new NormalWords(text);
        var before = 0UL;
        while (words.Next(out var word))
        {
            counts[word] = counts.GetValueOrDefault(word) + 1;
            if (before != 0)
            {
                var pair = WordHash.Mix(before * 3 + word);
                counts[pair] = counts.GetValueOrDefault(pair) + 1;
            }
            before = word;
        }
        vector[..Width].Clear();
        // In order of their hashes: sums of floats depend on the order.
        foreach (var (hash, count) in counts.OrderBy(pair => pair.Key))
        {
            var weight = 1 + MathF.Log(count);
            for (var i = 0; i < 4; i++)
            {
                var bits = Philox.Bits(hash, RandomPurpose.Corruption, 0xE3B, (ulong)i);
                vector[(int)(bits % (ulong)Width)] += (bits >> 63) == 0 ? weight : -weight;
            }
        }
    }
}
