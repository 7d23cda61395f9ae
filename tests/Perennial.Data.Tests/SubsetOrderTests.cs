using Perennial.Data.Orders;

namespace Perennial.Data.Tests;

public class SubsetOrderTests
{
    private static readonly double[] Scores = [.. Enumerable.Range(0, 200).Select(i => (i * 37 % 200) + 0.5)];

    private static SubsetOrder Order(SubsetOrderOptions options) => new(options, new OrderContext(9, 0, Scores.Length, _ => Scores));

    private static long[] Epoch(SubsetOrder order, long epoch) => [.. Enumerable.Range(0, (int)order.Length(Scores.Length)).Select(position => order.Window(epoch, position))];

    [Fact]
    public void The_best_windows_come_every_epoch_in_another_order()
    {
        var order = Order(new SubsetOrderOptions { Share = 0.1, By = "perplexity" });
        Assert.Equal(Enumerable.Range(0, 200).Where(i => Scores[i] < 20).Select(i => (long)i).Order(), Epoch(order, 0).Order());
        Assert.Equal(Epoch(order, 0).Order(), Epoch(order, 1).Order());
        Assert.NotEqual(Epoch(order, 0), Epoch(order, 1));
        Assert.Equal(Enumerable.Range(0, 200).Where(i => Scores[i] > 180).Select(i => (long)i).Order(), Epoch(Order(new SubsetOrderOptions { Windows = 20, By = "quality", Take = SubsetEnd.Highest }), 3).Order());
    }

    [Fact]
    public void A_pool_gives_every_epoch_other_windows_of_the_best()
    {
        var order = Order(new SubsetOrderOptions { Windows = 20, By = "perplexity", Pool = 3 });
        var epochs = Enumerable.Range(0, 40).Select(epoch => Epoch(order, epoch)).ToList();
        Assert.All(epochs, epoch => Assert.Equal(20, epoch.Distinct().Count()));
        Assert.All(epochs.SelectMany(epoch => epoch), window => Assert.True(Scores[window] < 60));
        Assert.Equal(60, epochs.SelectMany(epoch => epoch).Distinct().Count());
    }

    [Fact]
    public void Without_a_score_the_subset_is_random_and_fixed()
    {
        var order = Order(new SubsetOrderOptions { Windows = 20 });
        Assert.Equal(Epoch(order, 0).Order(), Epoch(order, 5).Order());
        Assert.NotEqual(Enumerable.Range(0, 20).Select(i => (long)i), Epoch(order, 0).Order());
    }
}
