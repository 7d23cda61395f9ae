using System.Text;
using Perennial.Data.Filters;
using Perennial.Data.Preparation;

namespace Perennial.Data.Tests;

public sealed class GradedDamageTests
{
    private static readonly Document[] Documents = [.. Enumerable.Range(0, 2000).Select(i =>
        new Document(Encoding.UTF8.GetBytes(string.Join(i % 2 == 0 ? " " : "\n", Enumerable.Range(0, 50).Select(j => $"w{(i * 7 + j * j) % 400}"))), new Provenance("t", i, 1)))];

    private static GradedDamage Learned(ulong seed = 1, GradedDamageOptions? options = null)
    {
        var filter = new GradedDamage(options ?? new(), new FilterContext(seed));
        for (var i = 0; i < Documents.Length; i++) filter.Learn(Documents[i], i);
        return filter;
    }

    private static string[] Words(Document document) => Encoding.UTF8.GetString(document.Text.Span).Split([' ', '\n']);

    [Fact]
    public void Quality_is_uniform_and_the_noisy_score_correlates_as_asked()
    {
        var filter = Learned();
        var scores = Documents.Select((document, i) => filter.Apply(document, i).Document!.Scores).ToList();
        var quality = scores.Select(score => score["quality"]).ToArray();
        var noisy = scores.Select(score => score["noisy-quality"]).ToArray();
        Assert.Equal(0.5, quality.Average(), 0.03);
        Assert.Equal(1 / 12.0, quality.Average(value => (value - quality.Average()) * (value - quality.Average())), 0.01);
        Assert.Equal(0.7, Correlation(quality, noisy), 0.04);
    }

    [Fact]
    public void The_share_of_replaced_words_follows_the_quality()
    {
        var filter = Learned();
        double changed = 0, expected = 0;
        for (var i = 0; i < Documents.Length; i++)
        {
            var damaged = filter.Apply(Documents[i], i).Document!;
            changed += Words(Documents[i]).Zip(Words(damaged)).Count(pair => pair.First != pair.Second);
            // A draw gives the same word again about once in 400.
            expected += 50 * 0.5 * (1 - damaged.Scores["quality"]) * (1 - 1 / 400.0);
        }
        Assert.Equal(expected, changed, expected * 0.03);
    }

    [Fact]
    public void White_space_stays_and_replacements_are_words_of_the_text()
    {
        var known = Documents.SelectMany(Words).ToHashSet();
        var damaged = Learned().Apply(Documents[1], 1).Document!;
        Assert.Equal(49, Encoding.UTF8.GetString(damaged.Text.Span).Count(c => c == '\n'));
        Assert.All(Words(damaged), word => Assert.Contains(word, known));
    }

    [Fact]
    public void Draws_depend_on_seed_and_document_and_on_nothing_else()
    {
        Assert.Equal(Learned().Apply(Documents[5], 5).Document!.Text.ToArray(), Learned().Apply(Documents[5], 5).Document!.Text.ToArray());
        Assert.NotEqual(Learned(1).Apply(Documents[5], 5).Document!.Scores["quality"], Learned(2).Apply(Documents[5], 5).Document!.Scores["quality"]);
        Assert.NotEqual(Learned().Apply(Documents[5], 5).Document!.Scores["quality"], Learned().Apply(Documents[5], 6).Document!.Scores["quality"]);
    }

    [Fact]
    public void Held_out_text_is_left_alone() => Assert.False(new GradedDamage(new(), new FilterContext(1)).AppliesToHeldOut);

    [Fact]
    public void No_amount_no_damage()
    {
        var damaged = Learned(options: new() { Amount = 0 }).Apply(Documents[3], 3).Document!;
        Assert.Equal(Documents[3].Text.ToArray(), damaged.Text.ToArray());
    }

    private static double Correlation(double[] a, double[] b)
    {
        var (meanA, meanB) = (a.Average(), b.Average());
        return a.Zip(b).Sum(pair => (pair.First - meanA) * (pair.Second - meanB))
            / Math.Sqrt(a.Sum(value => (value - meanA) * (value - meanA)) * b.Sum(value => (value - meanB) * (value - meanB)));
    }
}
