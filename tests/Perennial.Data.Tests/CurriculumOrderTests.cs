using CsCheck;
using Perennial.Core;
using Perennial.Data.Orders;

namespace Perennial.Data.Tests;

public sealed class CurriculumOrderTests
{
    private static CurriculumOrder Order(double[] scores, CurriculumOrderOptions? options = null, ulong seed = 1) =>
        new(options ?? new(), new OrderContext(seed, 0, scores.Length, _ => scores));

    private static double[] Scores(int count, ulong seed) => [.. Enumerable.Range(0, count).Select(i => Philox.Uniform(seed, RandomPurpose.Statistics, 9, (ulong)i))];

    [Fact]
    public void Every_epoch_sees_every_window_once() =>
        Gen.Int[1, 700].Select(Gen.Double[0, 1], Gen.Int[1, 5], Gen.Long[0, 3], Gen.Int[0, 800]).Sample((count, window, folds, epoch, span) =>
        {
            var order = Order(Scores(count, 5), new() { Window = window, Folds = folds, Span = span });
            Assert.Equal(count, Enumerable.Range(0, count).Select(position => order.Window(epoch, position)).Distinct().Count());
        }, iter: 60);

    [Theory]
    [InlineData(CurriculumDirection.Ascending, 1)]
    [InlineData(CurriculumDirection.Descending, -1)]
    public void Scores_rise_up_to_the_shuffle_window(CurriculumDirection direction, int sign)
    {
        var scores = Scores(1000, 3);
        var order = Order(scores, new() { Direction = direction, Window = 0.02 });
        var seen = Enumerable.Range(0, 1000).Select(position => sign * scores[order.Window(0, position)]).ToArray();
        var ranks = seen.Select(score => seen.Count(other => other < score)).ToArray();
        Assert.All(Enumerable.Range(0, 1000), position => Assert.InRange(Math.Abs(ranks[position] - position), 0, 19));
        Assert.Contains(Enumerable.Range(1, 999), position => seen[position] < seen[position - 1]);
    }

    [Theory]
    [InlineData(CurriculumDirection.Banded)]
    [InlineData(CurriculumDirection.Interleaved)]
    public void Bands_see_every_window_once(CurriculumDirection direction) =>
        Gen.Int[1, 500].Select(Gen.Int[2, 9], Gen.Long[0, 2], Gen.Int[0, 600]).Sample((count, bands, epoch, span) =>
        {
            var order = Order(Scores(count, 5), new() { Direction = direction, Bands = bands, Span = span });
            Assert.Equal(count, Enumerable.Range(0, count).Select(position => order.Window(epoch, position)).Distinct().Count());
        }, iter: 60);

    [Fact]
    public void Banded_reads_band_after_band_and_interleaved_one_of_each_in_turn()
    {
        var scores = Scores(1000, 3);
        int Band(long window) => scores.Count(other => other < scores[window]) / 250;
        var banded = Order(scores, new() { Direction = CurriculumDirection.Banded });
        Assert.Equal(Enumerable.Range(0, 1000).Select(position => position / 250), Enumerable.Range(0, 1000).Select(position => Band(banded.Window(1, position))));
        Assert.NotEqual(banded.Window(0, 0), banded.Window(1, 0));
        var interleaved = Order(scores, new() { Direction = CurriculumDirection.Interleaved });
        Assert.Equal(Enumerable.Range(0, 1000).Select(position => position % 4), Enumerable.Range(0, 1000).Select(position => Band(interleaved.Window(0, position))));
        Assert.True(scores[interleaved.Window(0, 0)] < scores[interleaved.Window(0, 4)] && scores[interleaved.Window(0, 4)] < scores[interleaved.Window(0, 8)]);
    }

    [Fact]
    public void Without_a_window_the_order_is_sorted() =>
        Assert.Equal([2, 0, 3, 1], Enumerable.Range(0, 4).Select(position => Order([0.2, 0.9, 0.1, 0.4], new() { Window = 0 }).Window(0, position)));

    [Fact]
    public void Ties_are_broken_by_a_keyed_hash_and_not_by_file_order()
    {
        var first = Enumerable.Range(0, 100).Select(position => Order(new double[100], new() { Window = 0 }, 1).Window(0, position)).ToArray();
        var second = Enumerable.Range(0, 100).Select(position => Order(new double[100], new() { Window = 0 }, 2).Window(0, position)).ToArray();
        Assert.NotEqual(Enumerable.Range(0, 100).Select(i => (long)i), first);
        Assert.NotEqual(first, second);
    }

    [Fact]
    public void Seeking_gives_what_reading_through_gives_and_the_hash_names_the_order()
    {
        var (one, other) = (Order(Scores(300, 3)), Order(Scores(300, 3)));
        Assert.Equal(Enumerable.Range(0, 300).Select(position => one.Window(0, position)), Enumerable.Range(0, 300).Reverse().Select(position => other.Window(0, position)).Reverse());
        Assert.Equal(one.Hash, other.Hash);
        Assert.NotEqual(one.Hash, Order(Scores(300, 4)).Hash);
    }

    [Fact]
    public void A_span_sorts_the_samples_that_the_shuffled_order_reads_in_the_same_time()
    {
        var scores = Scores(1000, 4);
        var shuffled = new ShuffledOrder(new OrderContext(1, 0, 1000, _ => scores));
        var order = Order(scores, new() { Span = 400, Window = 0 });
        var seen = Enumerable.Range(0, 400).Select(position => order.Window(0, position)).ToArray();
        Assert.Equal(Enumerable.Range(0, 400).Select(position => shuffled.Window(0, position)).Order(), seen.Order());
        Assert.Equal(seen.OrderBy(window => scores[window]), seen);
        Assert.Equal(1000, Enumerable.Range(0, 1000).Select(position => Order(scores, new() { Span = 400, Window = 0.03 }).Window(0, position)).Distinct().Count());
    }

    [Fact]
    public void Folds_are_random_parts_each_sorted_on_its_own()
    {
        var scores = Scores(900, 8);
        var order = Order(scores, new() { Window = 0, Folds = 3 });
        var seen = Enumerable.Range(0, 900).Select(position => scores[order.Window(0, position)]).ToArray();
        Assert.Equal(2, Enumerable.Range(1, 899).Count(position => seen[position] < seen[position - 1]));
        Assert.True(seen[0] < 0.05);
        Assert.Contains(seen.Take(400), score => score > 0.95);
    }
}
