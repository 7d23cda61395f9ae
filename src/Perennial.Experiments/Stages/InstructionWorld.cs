namespace Perennial.Experiments.Stages;

/// <summary>
/// A small world to be told of: people of made-up names with a town, a colour and an animal each; and instructions whose answers can be
/// checked word for word. Everything follows from a seed.
/// </summary>
internal sealed class InstructionWorld(ulong seed, int people)
{
    private static readonly string[] Syllables = ["ba", "do", "fi", "ga", "ho", "ki", "lu", "ma", "ne", "po", "ra", "su", "ta", "vo", "we", "zi"];
    private static readonly string[] Towns = ["Paris", "Oslo", "Rome", "Cairo", "Lima", "Delhi", "Quito", "Tokyo"];
    private static readonly string[] Colours = ["red", "blue", "green", "black", "white", "brown"];
    private static readonly string[] Animals = ["dog", "cat", "horse", "goat", "duck", "sheep"];
    private static readonly string[] Things = ["stone", "river", "paper", "table", "window", "garden", "letter", "bridge", "candle", "forest", "silver", "basket", "mirror", "button", "hammer", "island"];

    /// <summary>Everyone, the old first, then as many new.</summary>
    public IReadOnlyList<Person> Old { get; } = [.. Enumerable.Range(0, people).Select(i => Person.Of(seed, i))];

    /// <summary>People that only the later text speaks of.</summary>
    public IReadOnlyList<Person> New { get; } = [.. Enumerable.Range(people, people).Select(i => Person.Of(seed, i))];

    /// <summary>Plain text about people, <paramref name="count"/> documents of several sentences each; things lie about in it.</summary>
    public IEnumerable<string> Texts(IReadOnlyList<Person> about, int count, ulong stream)
    {
        for (var i = 0; i < count; i++)
        {
            var draw = new WorldDraws(seed, stream, (ulong)i);
            yield return string.Join(' ', Enumerable.Range(0, 4).Select(_ => Sentence(about[draw.Next(about.Count)], draw)));
        }
    }

    /// <summary>Facts as texts have them: a beginning and the word that ends it.</summary>
    public static IReadOnlyList<Exercise> Facts(IReadOnlyList<Person> about) =>
        [.. about.SelectMany(person => new Exercise[] { new($"{person.Name} lives in", person.Town + "."), new($"{person.Name} keeps a", person.Animal + "."), new($"{person.Name} likes", person.Colour + ".") })];

    /// <summary>Instructions with their answers; questions are about the given people.</summary>
    public IEnumerable<Exercise> Instructions(IReadOnlyList<Person> about, int count, ulong stream)
    {
        for (var i = 0; i < count; i++)
        {
            var draw = new WorldDraws(seed, stream, (ulong)i);
            var (a, b, c) = (Things[draw.Next(16)], Things[draw.Next(16)], Things[draw.Next(16)]);
            var person = about[draw.Next(about.Count)];
            yield return (i % 6) switch
            {
                0 => new($"Repeat: {a} {b}", $"{a} {b}"),
                1 => new($"Twice: {a}", $"{a} {a}"),
                2 => new($"Reverse: {a} {b}", $"{b} {a}"),
                3 => new($"First: {a} {b} {c}", a),
                4 => new($"Last: {a} {b} {c}", c),
                _ => draw.Next(3) switch
                {
                    0 => new($"Where lives {person.Name}?", person.Town),
                    1 => new($"Which animal keeps {person.Name}?", person.Animal),
                    _ => new($"Which colour likes {person.Name}?", person.Colour),
                },
            };
        }
    }

    /// <summary>The questions about every one of some people.</summary>
    public static IReadOnlyList<Exercise> Questions(IReadOnlyList<Person> about) =>
        [.. about.SelectMany(person => new Exercise[] { new($"Where lives {person.Name}?", person.Town), new($"Which animal keeps {person.Name}?", person.Animal), new($"Which colour likes {person.Name}?", person.Colour) })];

    private static string Sentence(Person person, WorldDraws draw) => draw.Next(6) switch
    {
        0 => $"{person.Name} lives in {person.Town}.",
        1 => $"{person.Name} keeps a {person.Animal}.",
        2 => $"{person.Name} likes {person.Colour}.",
        3 => $"The {Things[draw.Next(16)]} and the {Things[draw.Next(16)]} belong to {person.Name}.",
        4 => $"In {person.Town} there is a {Things[draw.Next(16)]}.",
        _ => $"{person.Name} saw a {Things[draw.Next(16)]}, a {Things[draw.Next(16)]} and a {Things[draw.Next(16)]}.",
    };

    /// <summary>One of them.</summary>
    internal sealed record Person(string Name, string Town, string Colour, string Animal)
    {
        public static Person Of(ulong seed, int index)
        {
            var draw = new WorldDraws(seed, 1, (ulong)index);
            // Two syllables by the index, so that no two share a name, and a drawn third.
            var name = Syllables[index % 16] + Syllables[index / 16 % 16] + Syllables[draw.Next(16)];
            return new(char.ToUpperInvariant(name[0]) + name[1..], Towns[draw.Next(8)], Colours[draw.Next(6)], Animals[draw.Next(6)]);
        }
    }
}
