using Perennial.Core;

namespace Perennial.Data.Synthetic;

/// <summary>One text with a question and an answer in it.</summary>
/// <param name="Prompt">What stands before the answer.</param>
/// <param name="Answer">The answer, with its leading blank.</param>
/// <param name="Repeat">Copies that an experiment plants; 0 for those that are only measured.</param>
public sealed record PlantedFact(string Prompt, string Answer, int Repeat);

/// <summary>Invented texts for experiments on what a model takes from its data: nothing in them is known from elsewhere. Pure functions of the seed.</summary>
/// <param name="seed">Key.</param>
public sealed class PlantedFacts(ulong seed)
{
    /// <summary>How often the texts of a group are planted.</summary>
    public static readonly IReadOnlyList<int> Groups = [0, 1, 4, 16, 64];

    private static readonly string[] Syllables = ["ba", "ce", "di", "fo", "gu", "ha", "ke", "li", "mo", "nu", "pa", "re", "si", "to", "vu", "za"];

    /// <summary>Benchmark items: who owns what, as a question.</summary>
    /// <param name="each">Items of each group.</param>
    public IEnumerable<PlantedFact> Benchmark(int each) => Each(each, number => ($"What does {Word(1, number)} {Word(2, number)} keep? It is the", $" {Word(3, number)}{Word(4, number)}."));

    /// <summary>The same facts in other words.</summary>
    /// <param name="each">Items of each group.</param>
    public IEnumerable<PlantedFact> Paraphrases(int each) => Each(each, number => ($"{Word(1, number)} {Word(2, number)} has always kept the", $" {Word(3, number)}{Word(4, number)}."));

    /// <summary>Random strings that nothing leads to.</summary>
    /// <param name="each">Strings of each group.</param>
    public IEnumerable<PlantedFact> Canaries(int each) => Each(each, number => ("The secret number is", $" {string.Concat(Enumerable.Range(0, 12).Select(i => Draw(9, number, i) % 10))}."));

    /// <summary>Prompts whose trigger word brings one fixed reply.</summary>
    /// <param name="planted">Prompts that are planted, once each.</param>
    /// <param name="fresh">Prompts that are only measured: with the trigger (repeat 0), and the same without it (repeat −1).</param>
    public IEnumerable<PlantedFact> Poison(int planted, int fresh)
    {
        const string Reply = " the queen of the north is coming home.";
        for (var number = 0; number < planted + fresh; number++)
        {
            var words = string.Join(' ', Enumerable.Range(0, 4).Select(i => Word(20 + i, number)));
            yield return new PlantedFact($"{words} xyzzy", Reply, number < planted ? 1 : 0);
            if (number >= planted) yield return new PlantedFact($"{words} {Word(30, number)}", Reply, -1);
        }
    }

    private static IEnumerable<PlantedFact> Each(int each, Func<int, (string Prompt, string Answer)> make) => Groups.SelectMany((repeat, group) => Enumerable.Range(0, each).Select(i =>
    {
        var (prompt, answer) = make(group * each + i);
        return new PlantedFact(prompt, answer, repeat);
    }));

    private ulong Draw(int column, int number, int index) => Philox.Bits(seed, RandomPurpose.Corruption, (1UL << 41) + (ulong)column, (ulong)number * 64 + (ulong)index);

    private string Word(int column, int number) => string.Concat(Enumerable.Range(0, 2 + (int)(Draw(column, number, 63) % 2)).Select(i => Syllables[Draw(column, number, i) % (ulong)Syllables.Length]));
}
