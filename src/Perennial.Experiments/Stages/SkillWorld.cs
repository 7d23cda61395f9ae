using System.Text.RegularExpressions;

namespace Perennial.Experiments.Stages;

/// <summary>An exercise with wrong answers beside the right one; answers begin with their blank.</summary>
internal sealed record ChoiceExercise(string Group, string Prompt, string Answer, IReadOnlyList<string> Choices);

/// <summary>
/// Text whose skills are known, in three domains: language (English prose, agreement in it, Spanish), knowledge (invented facts told often, now and then, rarely) and algorithms (copying, brackets, sums,
/// sorting); and exercises on each that training does not have.
/// </summary>
internal sealed partial class SkillWorld(ulong seed, string prose, string spanish)
{
    private const int Choices = 3, Facts = 90;
    private const string Letters = "abcdefghijklmnop";
    private static readonly string[] Values = ["Paris", "Oslo", "Rome", "Cairo", "Lima", "Delhi", "Quito", "Tokyo", "Seoul", "Bern", "Minsk", "Doha"];
    private static readonly string[] Syllables = ["ba", "do", "fi", "ga", "ho", "ki", "lu", "ma", "ne", "po", "ra", "su", "ta", "vo", "we", "zi"];
    private static readonly (string One, string Other)[] Forms = [("was", "were"), ("is", "are"), ("has", "have")];

    /// <summary>Tasks by domain.</summary>
    public static IReadOnlyList<(string Domain, IReadOnlyList<string> Tasks)> Domains { get; } =
        [("language", ["agreement", "cloze", "spanish"]), ("knowledge", ["frequent", "medium", "rare"]), ("algorithms", ["copy", "brackets", "addition", "sorting"])];

    /// <summary>The share of right answers that guessing has.</summary>
    public static double Chance(string task) => task is "agreement" or "brackets" ? 0.5 : 1.0 / (1 + Choices);

    /// <summary>Training documents of a source; the last sixth of a prose text is kept for exercises.</summary>
    public IEnumerable<string> Documents(string source, int count) => source switch
    {
        "prose" => Paragraphs(prose).SkipLast(Paragraphs(prose).Count / 6),
        "spanish" => Paragraphs(spanish).SkipLast(Paragraphs(spanish).Count / 6),
        "facts" => Enumerable.Range(0, count).Select(i => new WorldDraws(seed, 60, (ulong)i) is var draw ? string.Join(' ', Enumerable.Range(0, 3).Select(_ => Fact(Ranked(draw)) is var (said, value) ? $"{said}{value}." : "")) : ""),
        _ => Enumerable.Range(0, count).Select(i => new WorldDraws(seed, 61, (ulong)i) is var draw ? string.Join('\n', Enumerable.Range(0, 3).Select(_ => Drill(source, draw) is var drill ? drill.Prompt + drill.Answer : "")) : ""),
    };

    /// <summary>Exercises, as many of each task.</summary>
    public IEnumerable<ChoiceExercise> Exercises(int each) => Domains.SelectMany(domain => domain.Tasks).SelectMany(task => Exercises(task, each));

    private IEnumerable<ChoiceExercise> Exercises(string task, int each) => task switch
    {
        "agreement" => Agreement(each),
        "cloze" => Cloze(task, prose, each),
        "spanish" => Cloze(task, spanish, each),
        "frequent" or "medium" or "rare" => Enumerable.Range(0, each).Select(i =>
        {
            var draw = new WorldDraws(seed, 62, (ulong)i);
            var third = Facts / 3;
            var (said, value) = Fact((task == "frequent" ? 0 : task == "medium" ? third : 2 * third) + draw.Next(third));
            return new ChoiceExercise(task, said, value, [.. draw.Shuffled(Values.Select(one => " " + one).Where(one => one != value)).Take(Choices)]);
        }),
        _ => Enumerable.Range(0, each).Select(i => Drill(task, new WorldDraws(seed, 63, (ulong)i)) is var drill ? new ChoiceExercise(task, drill.Prompt, drill.Answer, drill.Wrong) : null!),
    };

    // Zipf's law over the facts: the first third is told often, the last rarely.
    private static int Ranked(WorldDraws draw) => Math.Min(Facts - 1, (int)Math.Exp(draw.Uniform() * Math.Log(Facts + 1)) - 1);

    private (string Said, string Value) Fact(int number)
    {
        var draw = new WorldDraws(seed, 64, (ulong)number);
        var name = Syllables[number % 16] + Syllables[number / 16] + draw.Of(Syllables);
        return ($"The home of {char.ToUpperInvariant(name[0])}{name[1..]} is", " " + draw.Of(Values));
    }

    private static (string Prompt, string Answer, IReadOnlyList<string> Wrong) Drill(string task, WorldDraws draw)
    {
        switch (task)
        {
            case "copy":
                var word = string.Concat(Enumerable.Range(0, 4).Select(_ => Letters[draw.Next(16)] + " ")).TrimEnd();
                return ($"copy {word} :", " " + word, Others(() => string.Join(' ', draw.Shuffled(word.Split(' '))), word));
            case "brackets":
                var (open, text) = (new Stack<char>(), "");
                for (var i = 0; i < 7; i++)
                {
                    var closes = open.Count > 0 && (draw.Next(2) == 0 || open.Count > 3);
                    if (!closes) open.Push("([".ElementAt(draw.Next(2)));
                    text += " " + (closes ? (open.Pop() == '(' ? ')' : ']') : open.Peek());
                }
                // An odd number of signs leaves one open at least.
                var last = open.Peek() == '(' ? " )" : " ]";
                return ($"match{text}", last, [last == " )" ? " ]" : " )"]);
            case "addition":
                var (a, b) = (draw.Next(50), draw.Next(50));
                return ($"add {a} + {b} =", $" {a + b}", Others(() => $"{a + b + draw.Next(21) - 10}", $"{a + b}"));
            default:
                string[] letters = [.. draw.Shuffled(Letters.Select(letter => $"{letter}")).Take(4)];
                var sorted = string.Join(' ', letters.Order(StringComparer.Ordinal));
                return ($"sort {string.Join(' ', letters)} :", " " + sorted, Others(() => string.Join(' ', draw.Shuffled(letters)), sorted));
        }

        static IReadOnlyList<string> Others(Func<string> next, string right)
        {
            var others = new HashSet<string>(StringComparer.Ordinal);
            for (var tries = 0; others.Count < Choices && tries < 100; tries++)
                if (next() is var other && other != right) others.Add(" " + other);
            return [.. others.DefaultIfEmpty(" " + right + right)];
        }
    }

    private IEnumerable<ChoiceExercise> Agreement(int each)
    {
        var found = Held(prose).SelectMany(paragraph => Forms.SelectMany(form => new[] { (form.One, form.Other), (One: form.Other, Other: form.One) }).SelectMany(form =>
            Regex.Matches(paragraph, $@"(?<=\w) {form.One}(?= )").Select(match => (Prompt: Before(paragraph, match.Index), Answer: " " + form.One, Wrong: " " + form.Other)))).ToList();
        return new WorldDraws(seed, 65, 0).Shuffled(found).Take(each).Select(one => new ChoiceExercise("agreement", one.Prompt, one.Answer, [one.Wrong]));
    }

    private IEnumerable<ChoiceExercise> Cloze(string task, string text, int each)
    {
        var paragraphs = Held(text).Where(paragraph => paragraph.Length > 120).ToList();
        string[] words = [.. paragraphs.SelectMany(paragraph => Word().Matches(paragraph).Select(match => match.Value)).Where(word => word.Length > 3)];
        return Enumerable.Range(0, each).Select(i =>
        {
            var draw = new WorldDraws(seed, task == "cloze" ? 66UL : 67, (ulong)i);
            while (true)
            {
                var paragraph = draw.Of(paragraphs);
                var matches = Word().Matches(paragraph).Where(match => match.Value.Length > 3 && match.Index > 50).ToList();
                if (matches.Count == 0) continue;
                var match = draw.Of(matches);
                // Wrong words are drawn as often as they stand in the text, so that how common a word is tells nothing.
                var wrong = Enumerable.Range(0, 1000).Select(_ => draw.Of(words)).Where(word => word != match.Value).Distinct().Take(Choices).Select(word => " " + word).ToList();
                return new ChoiceExercise(task, Before(paragraph, match.Index - 1), " " + match.Value, wrong);
            }
        });
    }

    private static string Before(string paragraph, int end)
    {
        var start = Math.Max(0, end - 80);
        if (start > 0) start = paragraph.IndexOf(' ', start) + 1;
        return start < end ? paragraph[start..end] : paragraph[..end];
    }

    private static IEnumerable<string> Held(string text) => Paragraphs(text) is var all ? all.Skip(all.Count - all.Count / 6) : [];

    private static List<string> Paragraphs(string text) => [.. text.ReplaceLineEndings("\n").Split("\n\n", StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).Select(paragraph => paragraph.Replace('\n', ' '))];

    [GeneratedRegex(@"(?<= )\p{L}+")]
    private static partial Regex Word();
}
