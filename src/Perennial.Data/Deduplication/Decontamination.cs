using System.ComponentModel.DataAnnotations;
using Perennial.Core;
using Perennial.Data.Curation;
using Perennial.Data.Filters;
using Perennial.Data.Text;

namespace Perennial.Data.Deduplication;

/// <summary>Options of <see cref="Decontamination"/>.</summary>
public sealed record DecontaminationOptions : IReadsFiles
{
    /// <summary>Evaluation sets: files, folders or globs.</summary>
    [MinLength(1)]
    public required IReadOnlyList<string> Against { get; init; }

    /// <summary>The field that holds their text (.jsonl, .csv, .parquet).</summary>
    public string Field { get; init; } = "text";

    /// <summary>Words of an n-gram.</summary>
    [Range(3, 50)]
    public int Ngram { get; init; } = 12;

    /// <summary>Items shorter than an n-gram count as a whole when they have this many words.</summary>
    [Range(1, 50)]
    public int Shortest { get; init; } = 8;

    /// <summary>Whether documents are only marked (score <c>contamination</c>) and not removed.</summary>
    public bool Mark { get; init; }

    /// <inheritdoc/>
    public IEnumerable<string> Files() => Against;
}

/// <summary>Removes (or marks) documents that share an n-gram of words with an evaluation set, and counts the overlaps for every set.</summary>
/// <param name="options">The sets.</param>
[Component("decontaminate")]
public sealed class Decontamination(DecontaminationOptions options) : IFilter
{
    private readonly Lazy<Index> known = new(() => new Index(options));

    /// <inheritdoc/>
    public FilterResult Apply(Document document, long index)
    {
        ArgumentNullException.ThrowIfNull(document);
        var found = known.Value.Find(document.Text.Span, out var grams, out var hits);
        if (found.Count == 0) return FilterResult.Keep(options.Mark ? document.WithScore("contamination", 0) : document);
        var counts = found.Select(item => Path.GetFileName(item.Path)).GroupBy(name => name).Select(group => new KeyValuePair<string, long>($"items of {group.Key} overlapped", group.Count())).ToList();
        var result = options.Mark
            ? FilterResult.Keep(document.WithScore("contamination", hits / (double)Math.Max(1, grams)))
            : FilterResult.Reject("overlaps an evaluation set", string.Join(", ", found.Take(3).Select(Tally.Place)));
        return result with { Counts = counts };
    }

    private sealed class Index
    {
        private readonly int ngram;
        private readonly Dictionary<ulong, int>[] lengths;
        private readonly List<Provenance> items = [];

        public Index(DecontaminationOptions options)
        {
            ngram = options.Ngram;
            lengths = new Dictionary<ulong, int>[ngram + 1];
            var grams = new List<ulong>();
            foreach (var item in ReferenceText.Read(options.Against, options.Field))
            {
                var words = Count(item.Text.Span);
                var n = Math.Min(words, ngram);
                if (n < Math.Min(options.Shortest, ngram)) continue;
                grams.Clear();
                Shingles.Add(item.Text.Span, n, grams);
                foreach (var gram in grams) (lengths[n] ??= []).TryAdd(gram, items.Count);
                items.Add(item.Origin);
            }
        }

        public IReadOnlyList<Provenance> Find(ReadOnlySpan<byte> text, out int grams, out int hits)
        {
            (grams, hits) = (0, 0);
            SortedSet<int>? found = null;
            var all = new List<ulong>();
            for (var n = 1; n <= ngram; n++)
            {
                if (lengths[n] is not { } of) continue;
                all.Clear();
                Shingles.Add(text, n, all);
                if (n == ngram) grams = all.Count;
                foreach (var gram in all)
                {
                    if (!of.TryGetValue(gram, out var item)) continue;
                    hits++;
                    (found ??= []).Add(item);
                }
            }
            return found is null ? [] : [.. found.Select(item => items[item])];
        }

        private static int Count(ReadOnlySpan<byte> text)
        {
            var count = 0;
            var words = new NormalWords(text);
            while (words.Next(out _)) count++;
            return count;
        }
    }
}
