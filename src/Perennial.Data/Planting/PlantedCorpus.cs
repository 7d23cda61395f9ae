using System.Globalization;
using System.Text;
using System.Text.Json;
using Perennial.Core;

namespace Perennial.Data.Planting;

/// <summary>What was planted in one document.</summary>
/// <param name="Id">Its number.</param>
/// <param name="Kind">What is wrong with it: <c>clean</c>, <c>exact</c>, <c>near</c>, <c>passage</c>, <c>toxic</c>, <c>pii</c>, <c>language</c>, <c>boilerplate</c>, <c>mojibake</c>, <c>junk</c>, <c>leak</c>.</param>
/// <param name="Of">The document it was made from, or −1.</param>
/// <param name="Marks">For <c>pii</c>: what was put in. For others what the text was before.</param>
public sealed record Planted(int Id, string Kind, int Of, IReadOnlyList<string> Marks);

/// <summary>A corpus with defects whose truth is known, to measure operators with. Everything follows from the seed.</summary>
public sealed class PlantedCorpus
{
    private readonly ulong seed;
    private ulong draws;

    private PlantedCorpus(ulong seed) => this.seed = seed;

    /// <summary>The documents' texts, by number.</summary>
    public List<string> Texts { get; } = [];

    /// <summary>What was planted in each.</summary>
    public List<Planted> Truth { get; } = [];

    /// <summary>Invented words that stand for toxic ones.</summary>
    public IReadOnlyList<string> ToxicWords { get; private set; } = [];

    /// <summary>Evaluation items of which some were leaked.</summary>
    public IReadOnlyList<string> Evaluation { get; private set; } = [];

    /// <summary>Lines that are no JSON, or no objects, or cut off, to be put between the documents.</summary>
    public IReadOnlyList<string> Malformed { get; private set; } = [];

    /// <summary>Makes a corpus.</summary>
    /// <param name="seed">Its key.</param>
    /// <param name="clean">Number of clean documents; defects are planted in proportion.</param>
    /// <param name="paragraphs">Real text that documents are made of: English prose, paragraph by paragraph.</param>
    public static PlantedCorpus Make(ulong seed, int clean, IReadOnlyList<string> paragraphs)
    {
        ArgumentNullException.ThrowIfNull(paragraphs);
        ArgumentOutOfRangeException.ThrowIfLessThan(clean, 20);
        // As on the web, a paragraph is a line.
        paragraphs = [.. paragraphs.Select(paragraph => string.Join(' ', paragraph.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)))];
        var corpus = new PlantedCorpus(seed);
        // With an ending of their own, so that no other invented word is one of them.
        corpus.ToxicWords = [.. Enumerable.Range(0, 40).Select(_ => corpus.Invented(6)[..^1] + "h")];
        for (var i = 0; i < clean; i++) corpus.Add("clean", -1, corpus.Prose(paragraphs), []);
        var share = Math.Max(4, clean / 20);
        for (var i = 0; i < share; i++) corpus.Exact(clean);
        for (var i = 0; i < 4 * share; i++) corpus.Near(clean, 0.55 + 0.45 * i / (4 * share));
        corpus.Passages(share, paragraphs);
        for (var i = 0; i < share; i++) corpus.Toxic(paragraphs);
        for (var i = 0; i < 2 * share; i++) corpus.PersonalData(paragraphs);
        corpus.Languages(share);
        for (var i = 0; i < share; i++) corpus.Boilerplate(paragraphs);
        for (var i = 0; i < share; i++) corpus.Mojibake(paragraphs);
        for (var i = 0; i < share; i++) corpus.Junk(i);
        corpus.Leaks(share, paragraphs);
        corpus.Malformed = [.. Enumerable.Range(0, share).Select(i => (i % 5) switch
        {
            0 => "{\"text\": \"cut off in the mid",
            1 => "not json at all",
            2 => "{\"body\": \"no text field\"}",
            3 => "{\"text\": 17}",
            _ => "[1, 2, 3]",
        })];
        return corpus;
    }

    /// <summary>Writes the documents as JSON lines with the malformed lines between them, in a keyed order, and the truth beside them.</summary>
    public void Write(string folder)
    {
        Directory.CreateDirectory(Path.Combine(folder, "corpus"));
        var order = Shuffle(Texts.Count + Malformed.Count);
        var files = 4;
        for (var file = 0; file < files; file++)
        {
            AtomicFile.Write(Path.Combine(folder, "corpus", $"part-{file}.jsonl"), stream =>
            {
                foreach (var number in order.Where((_, place) => place * files / order.Length == file))
                {
                    var line = number < Texts.Count ? JsonSerializer.Serialize(new { text = Texts[number], id = number }) : Malformed[number - Texts.Count];
                    stream.Write(Encoding.UTF8.GetBytes(line + "\n"));
                }
            });
        }
        AtomicFile.WriteText(Path.Combine(folder, "truth.jsonl"), string.Concat(Truth.Select(one => JsonSerializer.Serialize(one) + "\n")));
        AtomicFile.WriteText(Path.Combine(folder, "toxic-words.txt"), string.Join('\n', ToxicWords));
        AtomicFile.WriteText(Path.Combine(folder, "evaluation.jsonl"), string.Concat(Evaluation.Select(item => JsonSerializer.Serialize(new { text = item }) + "\n")));
    }

    private void Add(string kind, int of, string text, IReadOnlyList<string> marks)
    {
        Truth.Add(new Planted(Texts.Count, kind, of, marks));
        Texts.Add(text);
    }

    private double Draw() => Philox.Uniform(seed, RandomPurpose.Corruption, 0x91A7, draws++);

    private int Draw(int below) => (int)(Draw() * below);

    private T Pick<T>(IReadOnlyList<T> of) => of[Draw(of.Count)];

    private string Digits(int count) => string.Concat(Enumerable.Range(0, count).Select(_ => (char)('0' + Draw(10))));

    private string Invented(int letters) => string.Concat(Enumerable.Range(0, letters).Select(i => i % 2 == 0 ? Pick("bdfgklmnprstvz".ToCharArray()) : Pick("aeiou".ToCharArray()))) + "x";

    private int[] Shuffle(int count)
    {
        var order = Enumerable.Range(0, count).ToArray();
        for (var i = count - 1; i > 0; i--)
        {
            var j = Draw(i + 1);
            (order[i], order[j]) = (order[j], order[i]);
        }
        return order;
    }

    // Consecutive paragraphs from a random place; a sentence of its own number keeps two such stretches from being the same.
    private string Prose(IReadOnlyList<string> paragraphs)
    {
        var text = new StringBuilder();
        var length = 900 + Draw(2600);
        while (text.Length < length)
        {
            var from = Draw(paragraphs.Count);
            for (var i = 0; i < 3 && from + i < paragraphs.Count && text.Length < length; i++) text.Append(Reworded(paragraphs[from + i])).Append("\n\n");
        }
        return text.ToString().TrimEnd();
    }

    // Every seventh word or so becomes another of the text: shared paragraphs of the source are no longer duplicates of each other.
    private string Reworded(string paragraph)
    {
        var words = paragraph.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        for (var i = 2; i + 2 < words.Length; i++)
        {
            if (Draw() < 0.3) words[i] = Pick(words).ToLowerInvariant().Trim('.', ',', '!', '?', '"');
        }
        return string.Join(' ', words);
    }

    private void Exact(int clean)
    {
        var of = Draw(clean);
        Add("exact", of, Texts[of], []);
    }

    // Words are replaced until the Jaccard similarity of 5-grams is about what is wanted.
    private void Near(int clean, double similarity)
    {
        var of = Draw(clean);
        var words = Texts[of].Split(' ');
        // A replaced word breaks five 5-grams of each text: with share q of them broken, s = (1 − q) / (1 + q).
        var broken = (1 - similarity) / (1 + similarity);
        var rate = 1 - Math.Pow(1 - broken, 0.2);
        for (var i = 0; i < words.Length; i++)
        {
            if (Draw() < rate) words[i] = Invented(4);
        }
        Add("near", of, string.Join(' ', words), []);
    }

    private void Passages(int count, IReadOnlyList<string> paragraphs)
    {
        for (var i = 0; i < count / 2; i++)
        {
            var passage = string.Join(' ', Enumerable.Range(0, 60).Select(_ => Pick(Pick(paragraphs).Split(' ')).Trim('"'))).Replace('\n', ' ');
            for (var copy = 0; copy < 2; copy++) Add("passage", copy == 0 ? -1 : Texts.Count - 1, $"{Prose(paragraphs)} {passage} {Prose(paragraphs)}", [passage]);
        }
    }

    private void Toxic(IReadOnlyList<string> paragraphs)
    {
        var lines = Prose(paragraphs).Split('\n').ToList();
        lines.Insert(Draw(lines.Count), $"you {Pick(ToxicWords)} {Pick(ToxicWords)}, go away");
        Add("toxic", -1, string.Join('\n', lines), []);
    }

    private void PersonalData(IReadOnlyList<string> paragraphs)
    {
        string[] marks =
        [
            $"{Invented(5)}.{Invented(6)}@{Invented(7)}.{Pick<string>(["com", "org", "net", "co.uk", "de", "example"])}",
            $"{Draw(223) + 1}.{Draw(256)}.{Draw(256)}.{Draw(254) + 1}",
            Six(),
            Card(),
            Phone(),
        ];
        var mark = marks[Draw(marks.Length)];
        var sentence = Pick<string>(["Please write to {0} soon.", "You can reach me at {0}, she said.", "It was ({0}) that we saw.", "The record says: {0}"]);
        var lines = Prose(paragraphs).Split('\n').ToList();
        lines.Insert(Draw(lines.Count), string.Format(CultureInfo.InvariantCulture, sentence, mark));
        Add("pii", -1, string.Join('\n', lines), [mark]);
    }

    private string Six() => Draw(2) == 0
        ? string.Join(':', Enumerable.Range(0, 8).Select(_ => (Draw(0xFFFF) + 1).ToString("x", CultureInfo.InvariantCulture)))
        : $"2001:db8::{Draw(0xFFFF) + 1:x}:{Draw(0xFFFF) + 1:x}";

    private string Card()
    {
        var number = Pick<string>(["4", "51", "53", "2221", "6011", "65"]);
        number += Digits(15 - number.Length);
        for (var check = 0; check < 10; check++)
        {
            var whole = number + (char)('0' + check);
            if (!Normalizing.PersonalDataScan.Luhn(Encoding.ASCII.GetBytes(whole))) continue;
            return Draw(3) switch
            {
                0 => whole,
                1 => string.Join(' ', whole.Chunk(4).Select(four => new string(four))),
                _ => string.Join('-', whole.Chunk(4).Select(four => new string(four))),
            };
        }
        throw new InvalidOperationException("one of ten check digits is right");
    }

    private string Phone()
    {
        var (area, exchange, line) = ($"{2 + Draw(8)}{Digits(2)}", $"{2 + Draw(8)}{Digits(2)}", Digits(4));
        return Draw(8) switch
        {
            0 => $"({area}) {exchange}-{line}",
            1 => $"{area}-{exchange}-{line}",
            2 => $"{area}.{exchange}.{line}",
            3 => $"+1 {area} {exchange} {line}",
            4 => $"+1{area}{exchange}{line}",
            5 => $"+44 20 {Digits(4)} {Digits(4)}",
            6 => $"+49 {Draw(9) + 1}{Digits(2)} {Digits(7)}",
            _ => $"1-{area}-{exchange}-{line}",
        };
    }

    private void Languages(int count)
    {
        var (texts, languages) = (Filters.LanguageProfiles.Shipped(), new List<(string Language, string[] Lines)>());
        foreach (var (language, bytes) in texts.Where(text => text.Language != "en")) languages.Add((language, Encoding.UTF8.GetString(bytes).Split('\n', StringSplitOptions.RemoveEmptyEntries)));
        for (var i = 0; i < count; i++)
        {
            var (language, lines) = languages[i % languages.Count];
            // From the part that a detector trained on the first sixty percent has not seen.
            var unseen = lines[(lines.Length * 6 / 10)..];
            Add("language", -1, string.Join('\n', unseen.Skip(Draw(Math.Max(1, unseen.Length - 12))).Take(12)), [language]);
        }
    }

    private void Boilerplate(IReadOnlyList<string> paragraphs)
    {
        var clean = Prose(paragraphs);
        string[] lines =
        [
            "Home | About | Contact | Privacy Policy", "© 2014 Example Media. All rights reserved.", "We use cookies to improve your experience. Accept all cookies", "Share this article on Facebook", "Subscribe to our newsletter for more",
            "Log in to comment", "Skip to main content", "Back to top", "You may also like", "Please enable JavaScript to view this page.",
        ];
        var parts = clean.Split('\n').ToList();
        // Each line once: a page that says one twice repeats lines, which other rules are right to find.
        string[] marks = [.. Shuffle(lines.Length).Take(3).Select(line => lines[line])];
        foreach (var mark in marks) parts.Insert(Draw(parts.Count + 1), mark);
        Add("boilerplate", -1, string.Join('\n', parts), marks);
    }

    private void Mojibake(IReadOnlyList<string> paragraphs)
    {
        var clean = $"{Prose(paragraphs)} The café’s “naïve” fiancée — Zoë — paid 5 € for crème brûlée… and left.".Replace("n't", "n’t", StringComparison.Ordinal);
        var windows = CodePagesEncodingProvider.Instance.GetEncoding(1252)!;
        Add("mojibake", -1, windows.GetString(Encoding.UTF8.GetBytes(clean)), [clean]);
    }

    private void Junk(int kind) => Add("junk", -1, (kind % 4) switch
    {
        0 => string.Join(' ', Enumerable.Repeat("buy cheap " + Invented(4) + " now", 60)),
        1 => string.Join('\n', Enumerable.Range(0, 40).Select(_ => $"- {Invented(5)}")),
        2 => string.Join(' ', Enumerable.Range(0, 120).Select(_ => $"#{Digits(3)} @{Digits(2)} %%")),
        _ => string.Join('\n', Enumerable.Repeat($"the same line about {Invented(6)} and that of all is here", 30)),
    }, []);

    private void Leaks(int count, IReadOnlyList<string> paragraphs)
    {
        var items = Enumerable.Range(0, 3 * count).Select(i => $"Question {Invented(4)} {i}: which {Invented(6)} of the {Invented(5)} was found by {Invented(6)} in the year of {Invented(4)} near {Invented(7)}? Answer: {Invented(5)} {Invented(6)}.").ToList();
        Evaluation = items;
        for (var i = 0; i < count; i++)
        {
            Add("leak", -1, $"{Prose(paragraphs)}\n\n{items[i]}", [items[i]]);
        }
    }
}
