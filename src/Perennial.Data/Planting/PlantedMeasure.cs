using System.Text;
using Perennial.Core;
using Perennial.Data.Curation;
using Perennial.Data.Deduplication;
using Perennial.Data.Filters;
using Perennial.Data.Normalizing;
using Perennial.Data.Sources;

namespace Perennial.Data.Planting;

/// <summary>How well one operator found what was planted.</summary>
/// <param name="Operator">The operator, with what was measured.</param>
/// <param name="Planted">Things planted.</param>
/// <param name="Found">Planted things found.</param>
/// <param name="Flagged">Things found, planted or not.</param>
/// <param name="Right">Things found that were right to be found.</param>
/// <param name="Limit">Least recall that is asked for.</param>
/// <param name="PrecisionLimit">Least precision that is asked for.</param>
public sealed record PlantedScore(string Operator, long Planted, long Found, long Flagged, long Right, double Limit, double PrecisionLimit)
{
    /// <summary>Share of the planted that was found.</summary>
    public double Recall => Planted == 0 ? 1 : Found / (double)Planted;

    /// <summary>Share of the found that was right.</summary>
    public double Precision => Flagged == 0 ? 1 : Right / (double)Flagged;

    /// <summary>Whether both limits hold.</summary>
    public bool Holds => Recall >= Limit && Precision >= PrecisionLimit;
}

/// <summary>Runs every operator over a planted corpus, through the readers and the engine that users use, and compares with the truth.</summary>
public sealed class PlantedMeasure
{
    private readonly PlantedCorpus corpus;
    private readonly string folder;
    private readonly CancellationToken cancellation;
    private int runs;

    private PlantedMeasure(PlantedCorpus corpus, string folder, CancellationToken cancellation) => (this.corpus, this.folder, this.cancellation) = (corpus, folder, cancellation);

    private sealed record Result(Dictionary<int, string> Kept, HashSet<int> Removed, Accounting.DataAccount Account);

    /// <summary>Measures all operators.</summary>
    /// <param name="corpus">The corpus; it is written into the folder.</param>
    /// <param name="folder">An empty folder for everything that is made.</param>
    /// <param name="cancellation">Asks to stop.</param>
    public static IEnumerable<PlantedScore> Run(PlantedCorpus corpus, string folder, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(corpus);
        corpus.Write(folder);
        var measure = new PlantedMeasure(corpus, folder, cancellation);
        return measure.All();
    }

    private IEnumerable<PlantedScore> All()
    {
        yield return Reading();
        yield return Exact();
        foreach (var score in Near()) yield return score;
        yield return Simhash();
        yield return Passages();
        yield return Toxic();
        yield return ToxicClassifier();
        yield return PersonalData();
        yield return Language();
        yield return Boilerplate();
        yield return Mojibake();
        yield return Junk();
        yield return Leaks();
    }

    private Result Curate(params (string Kind, Type Filter, object? Options)[] filters)
    {
        var output = Path.Combine(folder, $"run-{runs++}");
        var request = new CurationRequest([new SourceOptions { Path = Path.Combine(folder, "corpus") }], [.. filters.Select(one => new ComponentSpec<IFilter>(one.Kind, one.Filter, one.Options))], output) { Cache = folder };
        var account = CorpusCuration.Run(request, null, cancellation);
        var kept = new Dictionary<int, string>();
        foreach (var document in DocumentSource.Read(new SourceOptions { Path = Path.Combine(output, "documents") }, cancellation).ToBlockingEnumerable(cancellation)) kept[(int)document.Scores["id"]] = Encoding.UTF8.GetString(document.Text.Span);
        // No record is lost without a count: kept, removed or malformed.
        if (account.Unaccounted() != 0 || account.Total().Documents != corpus.Texts.Count || kept.Count != account.Total().KeptDocuments)
            throw new InvalidOperationException($"of {corpus.Texts.Count} documents {account.Total().Documents} were read, {kept.Count} kept and {account.Unaccounted()} are unaccounted for");
        return new Result(kept, [.. Enumerable.Range(0, corpus.Texts.Count).Where(id => !kept.ContainsKey(id))], account);
    }

    private IEnumerable<Planted> Of(string kind) => corpus.Truth.Where(one => one.Kind == kind);

    private PlantedScore Reading()
    {
        var account = Curate().Account.Total();
        return new PlantedScore("jsonl reader: malformed records", corpus.Malformed.Count, account.MalformedRecords, account.MalformedRecords, Math.Min(account.MalformedRecords, corpus.Malformed.Count), 1, 1);
    }

    private PlantedScore Exact()
    {
        var result = Curate(("exact-dedup", typeof(ExactDedup), new ExactDedupOptions()));
        // Of every set of equal texts one stays.
        var groups = corpus.Truth.GroupBy(one => Normal(corpus.Texts[one.Id])).ToList();
        var planted = groups.Sum(group => group.Count() - 1);
        var found = groups.Sum(group => Math.Min(group.Count() - 1, group.Count(one => result.Removed.Contains(one.Id))));
        return new PlantedScore("exact-dedup", planted, found, result.Removed.Count, found, 1, 1);
    }

    private static string Normal(string text)
    {
        var normal = new StringBuilder();
        var bytes = Encoding.UTF8.GetBytes(text);
        var words = new Text.NormalWords(bytes);
        while (words.Next(out var hash)) normal.Append(hash).Append(' ');
        return normal.ToString();
    }

    private IEnumerable<PlantedScore> Near()
    {
        const double Threshold = 0.8;
        var result = Curate(("minhash-dedup", typeof(MinHashDedup), new MinHashDedupOptions()));
        var sets = corpus.Texts.Select(text => Shingles.Set(Encoding.UTF8.GetBytes(text), 5)).ToList();
        var pairs = corpus.Truth.Where(one => one.Of >= 0 && one.Kind is "exact" or "near").Select(one => (one.Id, one.Of, Similarity: Shingles.Jaccard(sets[one.Id], sets[one.Of]))).ToList();
        var alike = pairs.Where(pair => pair.Similarity >= Threshold).ToList();
        var found = alike.Count(pair => result.Removed.Contains(pair.Id) || result.Removed.Contains(pair.Of));
        // Right to go is what has another document at the threshold: compared with every other text.
        var right = result.Removed.Count(id => Enumerable.Range(0, sets.Count).Any(other => other != id && Shingles.Jaccard(sets[id], sets[other]) >= Threshold));
        yield return new PlantedScore("minhash-dedup: pairs of Jaccard ≥ 0.8", alike.Count, found, result.Removed.Count, right, 0.98, 1);
    }

    private PlantedScore Simhash()
    {
        var result = Curate(("simhash-dedup", typeof(SimHashDedup), new SimHashDedupOptions()));
        var sets = corpus.Texts.Select(text => Shingles.Set(Encoding.UTF8.GetBytes(text), 3)).ToList();
        var alike = corpus.Truth.Where(one => one.Of >= 0 && one.Kind is "exact" or "near").Where(one => Shingles.Jaccard(sets[one.Id], sets[one.Of]) >= 0.9).ToList();
        var found = alike.Count(one => result.Removed.Contains(one.Id) || result.Removed.Contains(one.Of));
        var right = result.Removed.Count(id => Enumerable.Range(0, sets.Count).Any(other => other != id && Shingles.Jaccard(sets[id], sets[other]) >= 0.5));
        return new PlantedScore("simhash-dedup: pairs of Jaccard ≥ 0.9", alike.Count, found, result.Removed.Count, right, 0.8, 1);
    }

    private PlantedScore Passages()
    {
        var result = Curate(("exact-dedup", typeof(ExactDedup), new ExactDedupOptions()), ("minhash-dedup", typeof(MinHashDedup), new MinHashDedupOptions { Threshold = 0.3, Bands = 60, Rows = 2 }), ("substring-dedup", typeof(SubstringDedup), new SubstringDedupOptions()));
        var copies = Of("passage").GroupBy(one => one.Marks[0]).ToList();
        var found = copies.Count(copy => copy.Count(one => result.Kept.TryGetValue(one.Id, out var text) && text.Contains(one.Marks[0], StringComparison.Ordinal)) == 1);
        // Right is a cut in a document that shares a stretch: planted passages, what is left of near copies, other languages (drawn from the same few texts), junk that repeats itself.
        var changed = result.Kept.Where(pair => pair.Value != corpus.Texts[pair.Key]).Select(pair => pair.Key).ToList();
        return new PlantedScore("substring-dedup: passages of 60 words", copies.Count, found, changed.Count, changed.Count(id => corpus.Truth[id].Kind is "passage" or "near" or "language" or "junk"), 0.99, 0.99);
    }

    private PlantedScore Toxic()
    {
        var result = Curate(("blocked-words", typeof(BlockedWords), new BlockedWordsOptions { List = Path.Combine(folder, "toxic-words.txt"), Lines = true }));
        var changed = result.Kept.Where(pair => pair.Value != corpus.Texts[pair.Key]).Select(pair => pair.Key).Concat(result.Removed).ToList();
        return new PlantedScore("blocked-words: toxic lines", Of("toxic").Count(), Of("toxic").Count(one => changed.Contains(one.Id)), changed.Count, changed.Count(id => corpus.Truth[id].Kind == "toxic"), 1, 1);
    }

    // Trained on lines with one half of the words, tested on documents whose lines hold words of both halves.
    private PlantedScore ToxicClassifier()
    {
        var toxic = Of("toxic").ToList();
        var clean = Of("clean").ToList();
        ReadOnlyMemory<byte>[] Lines(IEnumerable<Planted> of) => [.. of.SelectMany(one => corpus.Texts[one.Id].Split('\n')).Where(line => line.Length > 0).Select(line => (ReadOnlyMemory<byte>)Encoding.UTF8.GetBytes(line))];
        bool IsToxic(string line) => corpus.ToxicWords.Any(word => line.Contains(word, StringComparison.Ordinal));
        var train = Lines(toxic.Take(toxic.Count / 2)).ToLookup(line => IsToxic(Encoding.UTF8.GetString(line.Span)));
        var model = LinearClassifier.Train([.. train[true]], [.. train[false], .. Lines(clean.Take(clean.Count / 4))], passes: 20);
        var test = Lines(toxic.Skip(toxic.Count / 2).Concat(clean.Skip(clean.Count * 3 / 4)));
        var flagged = test.Where(line => model.Score(line.Span) > 0.5).Select(line => Encoding.UTF8.GetString(line.Span)).ToList();
        return new PlantedScore("classifier: toxic lines, trained on half", test.Count(line => IsToxic(Encoding.UTF8.GetString(line.Span))), flagged.Count(IsToxic), flagged.Count, flagged.Count(IsToxic), 0.8, 0.8);
    }

    private PlantedScore PersonalData()
    {
        var result = Curate(("pii", typeof(PersonalDataMask), new PersonalDataOptions()));
        var found = Of("pii").Count(one => !result.Kept[one.Id].Contains(one.Marks[0], StringComparison.Ordinal) && Placeholders(result.Kept[one.Id]) == 1);
        return new PlantedScore("pii", Of("pii").Count(), found, result.Kept.Values.Sum(Placeholders), found, 0.99, 0.99);
    }

    private static int Placeholders(string text) => new[] { "<EMAIL>", "<IP>", "<CARD>", "<PHONE>" }.Sum(mark => (text.Length - text.Replace(mark, "", StringComparison.Ordinal).Length) / mark.Length);

    private PlantedScore Language()
    {
        var texts = Path.Combine(folder, "languages.txt");
        File.WriteAllText(texts, string.Concat(LanguageProfiles.Shipped().Select(text => $"### {text.Language}\n{string.Join('\n', Lines(text.Text)[..(Lines(text.Text).Length * 6 / 10)])}\n")));
        var result = Curate(("language", typeof(LanguageFilter), new LanguageFilterOptions { Texts = texts }));
        return new PlantedScore("language: trained on the first 60 %", Of("language").Count(), Of("language").Count(one => result.Removed.Contains(one.Id)), result.Removed.Count(id => corpus.Truth[id].Kind != "junk"), result.Removed.Count(id => corpus.Truth[id].Kind == "language"), 0.98, 0.9);
    }

    private static string[] Lines(byte[] text) => Encoding.UTF8.GetString(text).Split('\n', StringSplitOptions.RemoveEmptyEntries);

    private PlantedScore Boilerplate()
    {
        var result = Curate(("boilerplate", typeof(BoilerplateRemoval), new BoilerplateOptions()));
        var planted = Of("boilerplate").Sum(one => one.Marks.Count);
        var found = Of("boilerplate").Sum(one => one.Marks.Count(mark => !result.Kept[one.Id].Split('\n').Contains(mark)));
        var removed = (int)result.Account.Total().Operators[0].Counts.GetValueOrDefault("lines removed");
        return new PlantedScore("boilerplate: lines", planted, found, removed, Math.Min(found, removed), 0.99, 0.98);
    }

    private PlantedScore Mojibake()
    {
        var result = Curate(("mojibake", typeof(MojibakeRepair), null));
        var changed = result.Kept.Where(pair => pair.Value != corpus.Texts[pair.Key]).Select(pair => pair.Key).ToList();
        return new PlantedScore("mojibake: restored to the letter", Of("mojibake").Count(), Of("mojibake").Count(one => result.Kept[one.Id] == one.Marks[0]), changed.Count, changed.Count(id => corpus.Truth[id].Kind == "mojibake"), 0.99, 1);
    }

    private PlantedScore Junk()
    {
        // As in a pipeline, behind the repair of mojibake: until then its punctuation is none.
        var result = Curate(("mojibake", typeof(MojibakeRepair), null), ("gopher-quality", typeof(GopherQuality), new GopherQualityOptions()), ("gopher-repetition", typeof(GopherRepetition), new GopherRepetitionOptions()), ("fineweb", typeof(FineWebQuality), new FineWebOptions()));
        // Other languages fail English stop words; that is no error of these rules.
        var wrong = result.Removed.Count(id => corpus.Truth[id].Kind is not ("junk" or "language"));
        var right = result.Removed.Count(id => corpus.Truth[id].Kind == "junk");
        return new PlantedScore("gopher + fineweb: junk pages", Of("junk").Count(), right, right + wrong, right, 0.95, 0.9);
    }

    private PlantedScore Leaks()
    {
        var result = Curate(("decontaminate", typeof(Decontamination), new DecontaminationOptions { Against = [Path.Combine(folder, "evaluation.jsonl")] }));
        return new PlantedScore("decontaminate: leaked items", Of("leak").Count(), Of("leak").Count(one => result.Removed.Contains(one.Id)), result.Removed.Count, result.Removed.Count(id => corpus.Truth[id].Kind == "leak"), 1, 1);
    }
}
