namespace Perennial.Experiments.Stages;

/// <summary>
/// Two made-up languages that speak of the same topics. A sentence is a chain of clauses "subject verb object, which verb object …"; within a topic the verb follows from its subject and the object
/// from both, up to as many equally likely ways as the topic is hard. The second language has its own words and puts the verb last. Every thing has a number word, its fact: both
/// languages tell those of the first half of things, only the second language those of the other half. Questions ask for it.
/// </summary>
internal sealed class TopicWorld(ulong seed)
{
    /// <summary>Topics; the later, the more of a sentence is chance.</summary>
    public const int Topics = 6;

    /// <summary>Levels of difficulty: clauses of a sentence.</summary>
    public const int Levels = 5;

    private const int Nouns = 16, Verbs = 6, Numbers = 8;
    private static readonly int[] Ways = [1, 1, 2, 2, 3, 4];
    private static readonly string[] First = ["b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t"], FirstVowels = ["a", "e", "i", "o"];
    private static readonly string[] Second = ["ch", "v", "z", "sh", "h", "j", "w", "zh", "y", "th", "x", "q"], SecondVowels = ["u", "y", "ao", "ei"];

    /// <summary>A text of the first language, of a drawn topic and level.</summary>
    public string Old(ulong stream, int document)
    {
        var draw = new WorldDraws(seed, stream, (ulong)document);
        return draw.Next(8) == 0 ? Sum(draw) : Text(draw, draw.Next(Topics), draw.Next(Levels) + 1, second: false);
    }

    /// <summary>A text of the second language.</summary>
    /// <param name="stream">Keeps texts of different uses apart.</param>
    /// <param name="document">Its number.</param>
    /// <param name="topic">Its topic.</param>
    public string New(ulong stream, int document, int topic)
    {
        var draw = new WorldDraws(seed, stream + 100 + (ulong)topic, (ulong)document);
        return Text(draw, topic, draw.Next(Levels) + 1, second: true);
    }

    /// <summary>Questions about the facts: those that training asks, or the others (half of either).</summary>
    public IEnumerable<Exercise> Questions(bool asked) =>
        from topic in Enumerable.Range(0, Topics)
        from noun in Enumerable.Range(0, Nouns)
        where noun / 2 % 2 == 0 == asked
        select new Exercise($"{Word(true, topic, noun)} {Question}", Number(true, Fact(topic, noun)));

    /// <summary>A question that training asks, with its answer; wrong by so large a chance.</summary>
    public Exercise Asked(int document, double wrong)
    {
        var draw = new WorldDraws(seed, 300, (ulong)document);
        var (topic, noun) = (draw.Next(Topics), draw.Next(Nouns / 4) * 4 + draw.Next(2));
        var fact = Fact(topic, noun);
        if (draw.Uniform() < wrong) fact = (fact + 1 + draw.Next(Numbers - 1)) % Numbers;
        return new($"{Word(true, topic, noun)} {Question}", Number(true, fact));
    }

    private const string Question = "vu ?";

    private static string Sum(WorldDraws draw) => string.Join(' ', Enumerable.Range(0, 3).Select(_ => (draw.Next(20), draw.Next(20)) is var (a, b) ? $"{a} + {b} = {a + b} ." : ""));

    private string Text(WorldDraws draw, int topic, int level, bool second) => string.Join(' ', Enumerable.Range(0, 3).Select(_ => draw.Next(3) == 0 ? Telling(draw, topic, second) : Sentence(draw, topic, level, second)));

    private string Telling(WorldDraws draw, int topic, bool second)
    {
        var noun = draw.Next(second ? Nouns : Nouns / 2);
        return second ? $"{Word(true, topic, noun)} {Number(true, Fact(topic, noun))} ta ." : $"{Word(false, topic, noun)} is {Number(false, Fact(topic, noun))} .";
    }

    private string Sentence(WorldDraws draw, int topic, int level, bool second)
    {
        var noun = draw.Next(Nouns);
        var words = new List<string> { Word(second, topic, noun) };
        for (var clause = 0; clause < level; clause++)
        {
            var verb = (noun * (2 * topic + 1) + draw.Next(Ways[topic])) % Verbs;
            noun = (noun * 3 + verb * 5 + topic + draw.Next(Ways[topic])) % Nouns;
            if (clause > 0) words.Add(second ? "ko" : "which");
            words.AddRange(second ? [Word(true, topic, noun), Verb(true, topic, verb)] : [Verb(false, topic, verb), Word(false, topic, noun)]);
        }
        return string.Join(' ', words) + " .";
    }

    private int Fact(int topic, int noun) => new WorldDraws(seed, 1, (ulong)(topic * Nouns + noun)).Next(Numbers);

    private static string Word(bool second, int topic, int noun) => Name(second, topic * Nouns + noun, "");

    private static string Verb(bool second, int topic, int verb) => Name(second, topic * Verbs + verb, second ? "r" : "v");

    private static string Number(bool second, int number) => Name(second, number, second ? "m" : "n");

    // Two syllables by the index, so that no two words of a kind are alike; the ending tells the kind.
    private static string Name(bool second, int index, string ending)
    {
        var (consonants, vowels) = second ? (Second, SecondVowels) : (First, FirstVowels);
        return consonants[index % 12] + vowels[index / 12 % 4] + consonants[index / 48 % 12] + vowels[(index + index / 12) % 4] + ending;
    }
}
