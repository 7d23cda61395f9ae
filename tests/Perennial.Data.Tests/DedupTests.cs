using System.Text;
using CsCheck;
using Perennial.Core;
using Perennial.Data.Accounting;
using Perennial.Data.Curation;
using Perennial.Data.Deduplication;
using Perennial.Data.Selection;

namespace Perennial.Data.Tests;

public class DedupTests
{
    internal static (List<string> Kept, DataAccount Account) Run(TemporaryFolder folder, IReadOnlyList<string[]> files, params ComponentSpec<IFilter>[] pipeline)
    {
        var sources = files.Select((texts, i) => new SourceOptions { Path = folder.Write($"in-{i}.jsonl", string.Join('\n', texts.Select(text => System.Text.Json.JsonSerializer.Serialize(new { text })))) }).ToList();
        var output = Path.Combine(folder.Path, "out" + Guid.NewGuid().ToString("N"));
        var account = CorpusCuration.Run(new CurationRequest(sources, pipeline, output) { Cache = folder.Path });
        Assert.Equal(0, account.Unaccounted());
        return ([.. Sources.DocumentSource.Read(new SourceOptions { Path = Path.Combine(output, "documents") }).ToBlockingEnumerable().Select(document => Encoding.UTF8.GetString(document.Text.Span))], account);
    }

    private static ComponentSpec<IFilter> Spec<T>(string kind, object options) => new(kind, typeof(T), options);

    internal static string Words(int seed, int count) => string.Join(' ', Enumerable.Range(0, count).Select(i => $"w{(char)('a' + (seed * 31 + i * 7 + i * i * seed) % 26)}{(char)('a' + (seed * 17 + i * 5) % 26)}{(char)('a' + (i * i + seed) % 26)}"));

    [Fact]
    public void Exact_copies_go_within_and_across_sources()
    {
        using var folder = new TemporaryFolder();
        string[][] files = [["One text here.", "Another.", "one TEXT here"], ["Another", "Third."]];
        Assert.Equal(["One text here.", "Another.", "Third."], Run(folder, files, Spec<ExactDedup>("exact-dedup", new ExactDedupOptions())).Kept);
        Assert.Equal(["One text here.", "Another.", "Another", "Third."], Run(folder, files, Spec<ExactDedup>("exact-dedup", new ExactDedupOptions { Scope = DuplicateScope.Source })).Kept);
        Assert.Equal(5, Run(folder, files, Spec<ExactDedup>("exact-dedup", new ExactDedupOptions { Normalize = false })).Kept.Count);
    }

    [Fact]
    public void Near_copies_go_and_the_longest_may_stay()
    {
        using var folder = new TemporaryFolder();
        var text = Words(3, 200);
        string[][] files = [[text, Words(5, 200), text + " and a little more of it", text[..^20] + "end"]];
        Assert.Equal([text, Words(5, 200)], Run(folder, files, Spec<MinHashDedup>("minhash-dedup", new MinHashDedupOptions())).Kept);
        Assert.Equal([Words(5, 200), text + " and a little more of it"], Run(folder, files, Spec<MinHashDedup>("minhash-dedup", new MinHashDedupOptions { Prefer = DuplicatePreference.Longest })).Kept);
        Assert.Equal([text, Words(5, 200)], Run(folder, [[text, Words(5, 200), text + "!"]], Spec<SimHashDedup>("simhash-dedup", new SimHashDedupOptions())).Kept);
        Assert.Equal(2, Run(folder, files, Spec<SemanticDedup>("semantic-dedup", new SemanticDedupOptions())).Kept.Count);
    }

    [Fact]
    public void Signatures_estimate_jaccard()
    {
        var hashes = new MinHash(1024);
        var (a, b) = (Enumerable.Range(0, 900).Select(i => (uint)i * 2654435761).ToArray(), Enumerable.Range(300, 900).Select(i => (uint)i * 2654435761).ToArray());
        var (one, other) = (new uint[1024], new uint[1024]);
        hashes.Sign(a, one);
        hashes.Sign(b, other);
        // Jaccard 600 / 1200; the standard deviation of the estimate is 0.016.
        Assert.InRange(one.Zip(other).Count(pair => pair.First == pair.Second) / 1024.0, 0.43, 0.57);
    }

    [Fact]
    public void Suffix_arrays_are_sorted() => Gen.Int[0, 3].Array[0, 80].Sample(text =>
    {
        var suffixes = SuffixArray.Build(text, 4);
        Assert.Equal(Enumerable.Range(0, text.Length), suffixes.Order());
        var prefixes = SuffixArray.CommonPrefixes(text, suffixes);
        for (var i = 0; i + 1 < suffixes.Length; i++)
        {
            Assert.True(text.AsSpan(suffixes[i]).SequenceCompareTo(text.AsSpan(suffixes[i + 1])) < 0);
            Assert.Equal(text.AsSpan(suffixes[i]).CommonPrefixLength(text.AsSpan(suffixes[i + 1])), prefixes[i]);
        }
    }, iter: 3000);

    [Fact]
    public void A_shared_passage_is_cut_once_and_between_characters()
    {
        using var folder = new TemporaryFolder();
        var passage = Words(11, 60) + " déjà vu";
        var (kept, account) = Run(folder, [[Words(1, 40) + " “" + passage + "” " + Words(2, 40), Words(3, 40) + " " + passage + " " + Words(4, 40), Words(9, 40)]], Spec<SubstringDedup>("substring-dedup", new SubstringDedupOptions()));
        Assert.Contains(passage, kept[0], StringComparison.Ordinal);
        Assert.Equal(Words(3, 40) + " " + Words(4, 40), kept[1]);
        Assert.Equal(1, account.Total().Operators[0].Counts["stretches cut"]);
    }

    [Fact]
    public void Repeated_sentences_and_paragraphs_are_cut()
    {
        using var folder = new TemporaryFolder();
        const string Shared = "First shared sentence is here. Second shared sentence is here. Third shared sentence is here. ";
        string Own(int i) => string.Concat(Enumerable.Range(0, 8).Select(j => $"Only document {(char)('a' + i)} says {Words(i * 8 + j, 6)} here. "));
        var (kept, _) = Run(folder, [[Own(1) + Shared + Own(2), Own(3) + Shared + Own(4)]], Spec<SpanDedup>("span-dedup", new SpanDedupOptions()));
        Assert.Contains("Second shared", kept[0], StringComparison.Ordinal);
        Assert.DoesNotContain("Second shared", kept[1], StringComparison.Ordinal);
        Assert.Contains(Own(4).Trim(), kept[1], StringComparison.Ordinal);
        var (paragraphs, _) = Run(folder, [["Same old paragraph again.\n\nOwn one of a.", "Same old paragraph again.\n\nOwn two of b.", "Same old paragraph again.\n\nOwn three."]],
            Spec<SpanDedup>("span-dedup", new SpanDedupOptions { Unit = SpanUnit.Paragraph, Window = 1, Keep = 2, MinimumWords = 1, MinimumUnits = 1 }));
        Assert.Equal(["Same old paragraph again.\n\nOwn one of a.", "Same old paragraph again.\n\nOwn two of b.", "Own three."], paragraphs);
    }

    [Fact]
    public void Leaked_items_are_found()
    {
        using var folder = new TemporaryFolder();
        var items = folder.Write("items.jsonl", string.Join('\n', Enumerable.Range(0, 5).Select(i => $"{{\"text\": \"{Words(i + 40, 20)}\"}}")));
        var (kept, account) = Run(folder, [[Words(1, 30), Words(2, 20) + " " + Words(42, 20).ToUpperInvariant() + "!", Words(3, 30) + " " + Words(41, 11)]], Spec<Decontamination>("decontaminate", new DecontaminationOptions { Against = [items] }));
        Assert.Equal([Words(1, 30), Words(3, 30) + " " + Words(41, 11)], kept);
        Assert.Equal(1, account.Total().Operators[0].Counts["items of items.jsonl overlapped"]);
    }

    [Fact]
    public void Bands_and_importance_select()
    {
        using var folder = new TemporaryFolder();
        string[] texts = [.. Enumerable.Range(1, 20).Select(i => Words(i, 10 + i))];
        var (kept, _) = Run(folder, [texts], Spec<FormulaFilter>("formula", new FormulaFilterOptions { Set = "size", To = "log(words) * 2" }), Spec<ScoreBand>("band", new ScoreBandOptions { Score = "size", From = 0.1, Through = 0.5 }));
        Assert.Equal(texts[2..10], kept);
        var target = folder.Write("target.txt", string.Join("\n\n", texts[..4]));
        var (like, _) = Run(folder, [texts], Spec<ImportanceSelection>("importance", new ImportanceOptions { Target = [target], Keep = 0.2, Draw = false, Buckets = 5000 }));
        Assert.Equal(texts[..4], like);
    }

    [Theory]
    [InlineData("1 + 2 * 3 == 7 and not (2 > 3)", 1)]
    [InlineData("max(1, min(5, 3), -2) / 2", 1.5)]
    [InlineData("-quality-a + 1e1", 9.5)]
    [InlineData("abs(0 - 4) >= 4 or 1 / 0", 1)]
    public void Formulas_are_evaluated(string text, double expected) => Assert.Equal(expected, Formula.Parse(text, out _)!.Evaluate(name => name == "quality-a" ? 0.5 : throw new InvalidOperationException(name)));

    [Theory]
    [InlineData("1 +")]
    [InlineData("(1")]
    [InlineData("1 2")]
    [InlineData("sin(1)")]
    [InlineData("1..2")]
    public void Wrong_formulas_are_told_with_their_place(string text)
    {
        Assert.Null(Formula.Parse(text, out var problem));
        Assert.Contains("character", problem, StringComparison.Ordinal);
    }

    [Fact]
    public void Sorting_on_disk_is_sorting()
    {
        using var folder = new TemporaryFolder();
        Gen.Long.Array[0, 5000].Sample(values =>
        {
            using var sorter = new ExternalSorter<long>(folder.Path, Guid.NewGuid().ToString(), 1);
            foreach (var value in values) sorter.Add(value);
            Assert.Equal(values.Order(), sorter.Sorted());
        }, iter: 30);
    }
}
