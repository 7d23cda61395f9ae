using System.ComponentModel.DataAnnotations;
using System.IO.Hashing;
using System.Text;
using Perennial.Core;
using Perennial.Data.Preparation;

namespace Perennial.Data.Filters;

/// <summary>Kinds of junk that <see cref="PlantedJunk"/> puts in the place of documents.</summary>
public enum JunkKind
{
    /// <summary>The document's own words in another order.</summary>
    Shuffled,

    /// <summary>A few words over and over.</summary>
    Repeated,

    /// <summary>Lists of keywords with bullets.</summary>
    Keywords,

    /// <summary>Lines of web pages that say nothing.</summary>
    Boilerplate,

    /// <summary>Numbers and signs.</summary>
    Symbols,

    /// <summary>A copy of another document.</summary>
    Copy,

    /// <summary>A copy of another document with a few words changed.</summary>
    NearCopy,
}

/// <summary>Options of <see cref="PlantedJunk"/>.</summary>
public sealed record PlantedJunkOptions
{
    /// <summary>Share of the training documents that are replaced.</summary>
    [Range(0.0, 1.0)]
    public double Share { get; init; } = 0.4;

    /// <summary>With what, in equal parts.</summary>
    [MinLength(1)]
    public IReadOnlyList<JunkKind> Kinds { get; init; } = [JunkKind.Shuffled, JunkKind.Repeated, JunkKind.Keywords, JunkKind.Boilerplate, JunkKind.Symbols, JunkKind.Copy, JunkKind.NearCopy];
}

/// <summary>Replaces a share of the training documents by junk, for experiments about cleaning; sets the score <c>junk</c> (1 or 0). Held-out documents stay.</summary>
/// <param name="options">How much of what.</param>
/// <param name="context">The run's seed.</param>
[Component("planted-junk")]
public sealed class PlantedJunk(PlantedJunkOptions options, FilterContext context) : IFilter
{
    // Copies are made of the first documents: a crawl meets some pages again and again.
    private const int Originals = 200;

    private static readonly string[] Lines =
    [
        "Home | About | Contact | Privacy Policy", "All rights reserved.", "We use cookies to improve your experience.", "Share this article on Facebook", "Subscribe to our newsletter", "Log in to comment", "Skip to main content", "Back to top",
        "You may also like", "Please enable JavaScript to view this page.", "Click here to read more", "Add to cart", "Your browser does not support frames.", "Forgot your password?", "Follow us on the web", "Terms of use",
    ];

    private readonly List<ReadOnlyMemory<byte>> originals = [];

    /// <inheritdoc/>
    public bool AppliesToHeldOut => false;

    /// <inheritdoc/>
    public bool Learns => true;

    /// <inheritdoc/>
    public void Learn(Document document, long index)
    {
        ArgumentNullException.ThrowIfNull(document);
        if (originals.Count < Originals && document.Text.Length > 200) originals.Add(document.Text);
    }

    /// <inheritdoc/>
    public FilterResult Apply(Document document, long index)
    {
        ArgumentNullException.ThrowIfNull(document);
        var key = (XxHash3.HashToUInt64(document.Text.Span, (long)context.Seed) ^ (ulong)index * 0x9E3779B97F4A7C15) & 0xFFFF_FFFF_FFFF;
        var draws = 0UL;
        double Draw() => Philox.Uniform(context.Seed, RandomPurpose.Corruption, key, (1UL << 40) + draws++);
        if (Draw() >= options.Share) return FilterResult.Keep(document.WithScore("junk", 0));
        var kind = options.Kinds[(int)(Draw() * options.Kinds.Count)];
        var text = Junk(kind, document.Text, Draw);
        return FilterResult.Keep((document with { Text = text }).WithScore("junk", 1)) with { Counts = [new(kind.ToString().ToLowerInvariant(), 1)] };
    }

    private byte[] Junk(JunkKind kind, ReadOnlyMemory<byte> own, Func<double> draw)
    {
        if (kind is JunkKind.Copy or JunkKind.NearCopy && originals.Count > 0) own = originals[(int)(draw() * originals.Count)];
        if (kind == JunkKind.Copy) return own.ToArray();
        var words = Encoding.UTF8.GetString(own.Span).Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
        if (words.Length == 0) words = ["nothing"];
        string Word() => words[(int)(draw() * words.Length)].Trim('.', ',', ';', ':', '!', '?', '"');
        var text = new StringBuilder();
        switch (kind)
        {
            case JunkKind.NearCopy:
                // One word in fifty: a Jaccard similarity of 5-grams of about 0.82.
                foreach (var word in words) text.Append(draw() < 0.02 ? Word() : word).Append(' ');
                break;
            case JunkKind.Shuffled:
                for (var i = words.Length - 1; i > 0; i--)
                {
                    var j = (int)(draw() * (i + 1));
                    (words[i], words[j]) = (words[j], words[i]);
                }
                text.AppendJoin(' ', words);
                break;
            case JunkKind.Repeated:
                var phrase = $"{Word()} {Word()} {Word()} now ";
                while (text.Length < own.Length) text.Append(phrase);
                break;
            case JunkKind.Keywords:
                while (text.Length < own.Length) text.Append("- ").Append(Word()).Append(' ').Append(Word()).Append('\n');
                break;
            case JunkKind.Boilerplate:
                while (text.Length < own.Length) text.Append(Lines[(int)(draw() * Lines.Length)]).Append('\n');
                break;
            default:
                while (text.Length < own.Length) text.Append("#@%$*=+"[(int)(draw() * 7)]).Append((int)(draw() * 10_000)).Append(' ');
                break;
        }
        return Encoding.UTF8.GetBytes(text.ToString().TrimEnd());
    }
}
