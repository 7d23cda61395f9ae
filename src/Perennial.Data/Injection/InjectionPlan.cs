using System.IO.Hashing;
using System.Text;
using Perennial.Core;
using Perennial.Data.Mixtures;
using Perennial.Data.Sources;

namespace Perennial.Data.Injection;

/// <summary>One planted copy of a text.</summary>
/// <param name="Experiment">Number of its experiment in the recipe.</param>
/// <param name="Text">Number of the text in its file.</param>
/// <param name="Offset">First token of the window that it takes.</param>
/// <param name="Ids">Its tokens, end-of-text in front and behind.</param>
public sealed record Planted(int Experiment, int Text, int Offset, IReadOnlyList<int> Ids);

/// <summary>
/// Where the texts of experiments stand in the training stream (Bordt et al. 2025, "Train once, answer all", arXiv 2509.23383, section 3): each
/// copy takes a stretch of one window and replaces what stood there, so that length and order of everything else stay. No two copies overlap.
/// A pure function of (seed, options, texts): explicit places first, then the random ones in the recipe's order, drawn again where they collide.
/// </summary>
public sealed class InjectionPlan
{
    private const int TriesEach = 100;
    private readonly Dictionary<long, List<Planted>> byPosition = [];
    private readonly long[] copies;
    private readonly long[] dropped;
    private readonly long[] tokens;

    /// <summary>Lays the plan out.</summary>
    /// <param name="experiments">The recipe's experiments.</param>
    /// <param name="tokenizer">Makes the ids.</param>
    /// <param name="time">Tokens a window.</param>
    /// <param name="run">The run's length.</param>
    /// <param name="seed">Key.</param>
    /// <exception cref="PerennialException">Exit 2: two experiments of one name, a bad stretch, too few positions, or no room.</exception>
    public InjectionPlan(IReadOnlyList<InjectionOptions> experiments, ITokenizer tokenizer, int time, RunShape run, ulong seed)
    {
        ArgumentNullException.ThrowIfNull(experiments);
        ArgumentNullException.ThrowIfNull(tokenizer);
        ArgumentNullException.ThrowIfNull(run);
        Experiments = experiments;
        (copies, dropped, tokens) = (new long[experiments.Count], new long[experiments.Count], new long[experiments.Count]);
        if (experiments.GroupBy(experiment => experiment.Name).FirstOrDefault(group => group.Count() > 1) is { } twice) throw PerennialException.Usage($"data.injections: '{twice.Key}' is there twice");
        Collisions = 0;
        foreach (var explicitly in new[] { true, false })
            for (var number = 0; number < experiments.Count; number++)
            {
                var experiment = experiments[number];
                if (experiment.Positions.Count > 0 != explicitly) continue;
                var key = seed ^ XxHash3.HashToUInt64(Encoding.UTF8.GetBytes(experiment.Name));
                var (from, to) = (run.ToSamples(experiment.From), Math.Min(run.Samples, run.ToSamples(experiment.To)));
                if (from >= to) throw PerennialException.Usage($"data.injections: '{experiment.Name}' may change no sample: from {experiment.From} to {experiment.To} is nothing of this run");
                var copy = 0;
                foreach (var (text, ids, count) in Texts(experiment, number, tokenizer, time, key))
                {
                    for (var i = 0; i < count; i++, copy++)
                    {
                        if (explicitly && copy >= experiment.Positions.Count) throw PerennialException.Usage($"data.injections: '{experiment.Name}' gives {experiment.Positions.Count} positions, but its texts need more (each text once per 'repeat')");
                        Place(number, text, ids, explicitly ? experiment.Positions[copy] : null, (from, to), time, key, copy);
                    }
                }
            }
        Fingerprint = Convert.ToHexStringLower(XxHash128.Hash(Encoding.UTF8.GetBytes(string.Join('\n', byPosition.OrderBy(pair => pair.Key).SelectMany(pair => pair.Value.Select(one => $"{pair.Key} {one.Offset} {string.Join(' ', one.Ids)}"))))));
    }

    /// <summary>The experiments.</summary>
    public IReadOnlyList<InjectionOptions> Experiments { get; }

    /// <summary>Copies of each experiment in the run, <c>[experiments]</c>.</summary>
    public IReadOnlyList<long> Copies => copies;

    /// <summary>Texts of each experiment that were left out because they are empty or longer than a window, <c>[experiments]</c>.</summary>
    public IReadOnlyList<long> Dropped => dropped;

    /// <summary>Tokens of each experiment, <c>[experiments]</c>.</summary>
    public IReadOnlyList<long> Tokens => tokens;

    /// <summary>Places that were drawn again because something stood there.</summary>
    public long Collisions { get; private set; }

    /// <summary>Hash (hex) of the whole plan.</summary>
    public string Fingerprint { get; }

    /// <summary>What is planted at a position of the stream, by offset; mostly nothing.</summary>
    public IReadOnlyList<Planted> At(long position) => byPosition.GetValueOrDefault(position) ?? (IReadOnlyList<Planted>)[];

    /// <summary>Every position that is changed.</summary>
    public IEnumerable<long> Positions => byPosition.Keys.Order();

    /// <summary>Overwrites a window with what is planted at its position.</summary>
    /// <param name="position">The position.</param>
    /// <param name="inputs">Ids, <c>[time]</c>.</param>
    /// <param name="targets">Next ids, <c>[time]</c>.</param>
    /// <param name="segments">Numbers of documents within the window; empty where attention crosses documents.</param>
    public void Apply(long position, Span<long> inputs, Span<long> targets, Span<int> segments)
    {
        var planted = At(position);
        if (planted.Count == 0) return;
        var marks = segments.IsEmpty ? [] : segments.ToArray();
        foreach (var one in planted)
        {
            var (first, count) = (one.Offset, one.Ids.Count);
            for (var i = 0; i < count; i++) inputs[first + i] = one.Ids[i];
            for (var i = 0; i + 1 < count; i++) targets[first + i] = one.Ids[i + 1];
            if (segments.IsEmpty)
            {
                // The token before now leads into the planted text; the one behind follows its end, as it did the token that stood there.
                if (first > 0 && targets[first - 1] != TokenBatch.Ignored) targets[first - 1] = one.Ids[0];
                continue;
            }
            // Documents are separate: nothing leads in or out.
            if (first > 0) targets[first - 1] = TokenBatch.Ignored;
            targets[first + count - 1] = TokenBatch.Ignored;
            marks.AsSpan(first, count).Fill(int.MinValue + first);
            // What the text splits must not attend across it.
            for (var t = first + count; t < marks.Length && segments[t] == segments[Math.Max(0, first - 1)]; t++) marks[t] += 1 << 24;
        }
        for (int t = 0, number = -1, before = 0; t < marks.Length; t++)
        {
            if (t == 0 || marks[t] != before) number++;
            (before, segments[t]) = (marks[t], number);
        }
    }

    private IEnumerable<(int Text, int[] Ids, long Count)> Texts(InjectionOptions experiment, int number, ITokenizer tokenizer, int time, ulong key)
    {
        var index = 0;
        var documents = DocumentSource.Read(new SourceOptions { Path = experiment.Path, Field = experiment.Field, Split = TextSplit.Paragraph }).ToBlockingEnumerable();
        foreach (var document in documents)
        {
            var ids = new List<int> { tokenizer.EndOfText };
            tokenizer.Encode(document.Text.Span, ids);
            ids.Add(tokenizer.EndOfText);
            var repeat = document.Scores.TryGetValue("repeat", out var own) ? own : experiment.Repeat;
            var count = repeat >= 1 ? (long)repeat : Philox.Uniform(key, RandomPurpose.SampleOrder, 1UL << 46, (ulong)index) < repeat ? 1 : 0;
            if (ids.Count > time || ids.Count == 2) dropped[number]++;
            else if (count > 0) yield return (index, [.. ids], count);
            index++;
        }
    }

    private void Place(int experiment, int text, int[] ids, long? position, (long From, long To) stretch, int time, ulong key, int copy)
    {
        for (var attempt = 0UL; attempt < TriesEach; attempt++)
        {
            double Draw(ulong which) => Philox.Uniform(key, RandomPurpose.SampleOrder, (1UL << 46) + 1 + (ulong)copy, attempt * 2 + which);
            var at = position ?? stretch.From + (long)(Draw(0) * (stretch.To - stretch.From));
            var offset = (int)(Draw(1) * (time - ids.Length + 1));
            if (!byPosition.TryGetValue(at, out var there)) byPosition[at] = there = [];
            if (there.Any(other => offset < other.Offset + other.Ids.Count && other.Offset < offset + ids.Length))
            {
                Collisions++;
                continue;
            }
            there.Add(new Planted(experiment, text, offset, ids));
            there.Sort((a, b) => a.Offset - b.Offset);
            copies[experiment]++;
            tokens[experiment] += ids.Length;
            return;
        }
        throw PerennialException.Usage($"data.injections: no room for copy {copy + 1} of '{Experiments[experiment].Name}' after {TriesEach} tries; plant less, or over more samples");
    }
}
