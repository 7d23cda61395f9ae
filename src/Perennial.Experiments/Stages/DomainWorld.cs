namespace Perennial.Experiments.Stages;

/// <summary>What a document of the domain's pool is worth.</summary>
internal enum PoolQuality
{
    /// <summary>As the reference is.</summary>
    Clean,

    /// <summary>Three in ten words replaced by others of the world.</summary>
    Noisy,

    /// <summary>Its words in a random order.</summary>
    Shuffled,
}

/// <summary>
/// A general world of five sources (web-like sentences, code, tables, dialogue, questions) and a domain that the world does not speak of: people whose facts are
/// told in web-like sentences of three qualities. Questions are asked in a form that only one small source has: the beginning of a sentence and <c>=&gt;</c>. Answering about the domain
/// needs both its facts and that form.
/// </summary>
internal sealed class DomainWorld(ulong seed, int people)
{
    private static readonly string[] Towns = ["Paris", "Oslo", "Rome", "Cairo", "Lima", "Delhi", "Quito", "Tokyo"];
    private static readonly string[] Colours = ["red", "blue", "green", "black", "white", "brown"];
    private static readonly string[] Animals = ["dog", "cat", "horse", "goat", "duck", "sheep"];
    private static readonly string[] Things = ["stone", "river", "paper", "table", "window", "garden", "letter", "bridge", "candle", "forest", "silver", "basket", "mirror", "button", "hammer", "island"];
    private readonly InstructionWorld told = new(seed, people);

    /// <summary>Names of the general sources and their shares of pre-training.</summary>
    public static IReadOnlyList<(string Name, double Share)> Sources { get; } = [("web", 0.70), ("code", 0.05), ("tables", 0.05), ("dialogue", 0.05), ("questions", 0.15)];

    /// <summary>Documents of a general source.</summary>
    public IEnumerable<string> General(string source, int count)
    {
        var stream = 10UL + (ulong)Sources.TakeWhile(one => one.Name != source).Count();
        return source == "web" ? told.Texts(told.Old, count, stream) : Enumerable.Range(0, count).Select(i =>
        {
            var draw = new WorldDraws(seed, stream, (ulong)i);
            return source switch
            {
                "code" => string.Join(" ", Enumerable.Range(0, 4).Select(_ => $"{draw.Of(["set", "add", "get"])}({draw.Of(Things)}, {draw.Next(10)});")),
                "tables" => string.Join(" ", Enumerable.Range(0, 4).Select(_ => $"| {draw.Of(Things)} | {draw.Of(Colours)} | {draw.Next(10)} |")),
                "dialogue" => string.Join(" ", Enumerable.Range(0, 2).Select(_ => draw.Of(Things) is var thing ? $"- Where is the {thing}? - The {thing} is in {draw.Of(Towns)}." : "")),
                _ => draw.Of(Recall(told.Old)).Document,
            };
        });
    }

    /// <summary>Clean text of the domain, apart from the pool's: what quality is measured by, and what the domain's loss is measured on.</summary>
    public IEnumerable<string> Reference(int count, ulong part) => told.Texts(told.New, count, 20 + part);

    /// <summary>The domain's pool.</summary>
    public IEnumerable<(string Text, PoolQuality Quality)> Pool(int count) => told.Texts(told.New, count, 30).Select((text, i) =>
    {
        var draw = new WorldDraws(seed, 31, (ulong)i);
        var quality = (PoolQuality)draw.Next(3);
        string[] words = text.Split(' ');
        return (quality switch
        {
            PoolQuality.Noisy => string.Join(' ', words.Select(word => draw.Uniform() < 0.3 ? draw.Of(draw.Of([Towns, Colours, Animals, Things])) : word)),
            PoolQuality.Shuffled => string.Join(' ', draw.Shuffled(words)),
            _ => text,
        }, quality);
    });

    /// <summary>Questions about the domain's people.</summary>
    public IReadOnlyList<Exercise> DomainQuestions => Recall(told.New);

    /// <summary>Questions about the world's people.</summary>
    public IReadOnlyList<Exercise> GeneralQuestions => Recall(told.Old);

    private static IReadOnlyList<Exercise> Recall(IReadOnlyList<InstructionWorld.Person> about) =>
        [.. about.SelectMany(person => new Exercise[] { new($"{person.Name} lives in", person.Town), new($"{person.Name} keeps a", person.Animal), new($"{person.Name} likes", person.Colour) })];
}
