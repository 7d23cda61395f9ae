using Perennial.Core;

namespace Perennial.Experiments.Stages;

/// <summary>
/// Places to eat and sentences about them: plain text to pre-train on, and the task of writing the sentence from a list of attributes (as
/// in E2E). A fifth of all combinations is kept for the test and a fifth for choosing, and appears nowhere else.
/// </summary>
internal static class DescriptionWorld
{
    private static readonly string[] Names = ["Alba", "Birch", "Comet", "Delta", "Ember", "Falcon", "Ginger", "Harbor", "Indigo", "Juniper", "Kestrel", "Lantern", "Maple", "Nectar", "Olive", "Pepper", "Quartz", "Raven", "Saffron", "Tulip"];
    private static readonly string[] Foods = ["Thai", "French", "Indian", "Greek", "Polish", "Cuban", "Korean", "Italian", "Turkish", "Irish"];
    private static readonly string[] Prices = ["cheap", "fair", "dear", "costly"];
    private static readonly string[] Areas = ["river", "market", "station", "castle", "harbour", "park"];

    /// <summary>Combinations of attributes in all.</summary>
    public static int Count => Names.Length * Foods.Length * Prices.Length * Areas.Length;

    /// <summary>Which part a combination belongs to.</summary>
    public enum Part
    {
        /// <summary>Pre-training and fine-tuning.</summary>
        Train,

        /// <summary>Choosing the fine-tuning's rate.</summary>
        Choose,

        /// <summary>The reported scores.</summary>
        Test,
    }

    /// <summary>Combinations of a part in an order of their own.</summary>
    public static IEnumerable<int> Of(Part part, ulong seed) => Enumerable.Range(0, Count).Where(index => PartOf(index) == part).OrderBy(index => Philox.Bits(seed, RandomPurpose.Corruption, 7, (ulong)index));

    /// <summary>Plain text: a few sentences about places of the training part in each document.</summary>
    public static IEnumerable<string> Texts(int documents, ulong seed)
    {
        int[] known = [.. Of(Part.Train, seed)];
        for (var document = 0; document < documents; document++)
            yield return string.Join(' ', Enumerable.Range(0, 3).Select(i =>
            {
                var draw = (ulong)(document * 3 + i);
                return Sentence(known[(int)(Philox.Uniform(seed, RandomPurpose.Corruption, 8, draw) * known.Length)], (int)(Philox.Uniform(seed, RandomPurpose.Corruption, 9, draw) * 3));
            }));
    }

    /// <summary>The task on one combination.</summary>
    public static Exercise Task(int index)
    {
        var (name, food, price, area) = Slots(index);
        return new($"area {area}, food {food}, price {price}, name {name}", Sentence(index, 0));
    }

    /// <summary>Share of the four attributes that an answer names.</summary>
    public static double SlotsNamed(int index, string answer)
    {
        var (name, food, price, area) = Slots(index);
        string[] words = answer.Split([' ', '.', ','], StringSplitOptions.RemoveEmptyEntries);
        return new[] { name, food, price, area }.Average(slot => words.Contains(slot) ? 1.0 : 0.0);
    }

    private static Part PartOf(int index) => (Philox.Bits(0, RandomPurpose.Corruption, 6, (ulong)index) % 5) switch { 0 => Part.Test, 1 => Part.Choose, _ => Part.Train };

    private static (string Name, string Food, string Price, string Area) Slots(int index) =>
        (Names[index % 20], Foods[index / 20 % 10], Prices[index / 200 % 4], Areas[index / 800 % 6]);

    private static string Sentence(int index, int template)
    {
        var (name, food, price, area) = Slots(index);
        return template switch
        {
            0 => $"{name} by the {area} serves {price} {food} food.",
            1 => $"For {food} food at a {price} price go to {name} near the {area}.",
            _ => $"The {area} has a place named {name}, where {food} dishes are {price}.",
        };
    }
}
