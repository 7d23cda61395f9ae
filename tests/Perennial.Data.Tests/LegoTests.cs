using Perennial.Data.Synthetic;

namespace Perennial.Data.Tests;

public class LegoTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(4)]
    public void Answers_follow_from_the_clauses_at_the_depth_that_is_asked(int depth)
    {
        foreach (var sample in new LegoText(4, 8).Samples(3, depth, 200))
        {
            var parts = sample.Split(';');
            var clauses = parts[..4].ToDictionary(clause => clause[0], clause => clause[1..]);
            var (asked, steps, flips) = (parts[4][0], 1, 0);
            for (; clauses[asked][0] != '='; steps++) (flips, asked) = (flips + (clauses[asked][0] == '-' ? 1 : 0), clauses[asked][1]);
            Assert.Equal(depth, steps);
            Assert.Equal(((clauses[asked][1] - '0') + flips) % 2, parts[4][2] - '0');
        }
    }

    [Fact]
    public void Samples_are_different_and_a_function_of_the_seed()
    {
        var task = new LegoText(3, 6);
        Assert.Equal(task.Samples(1, 2, 100), task.Samples(1, 2, 100));
        Assert.NotEqual(task.Samples(1, 2, 100), task.Samples(2, 2, 100));
        Assert.Equal(500, task.Samples(1, 3, 500).Distinct().Count());
        Assert.Throws<Core.PerennialException>(() => new LegoText(2, 2).Samples(1, 1, 1000).Count());
    }
}
