using Perennial.Core;
using Perennial.Resilience.Layouts;
using Perennial.Training.Memory;

namespace Perennial.Training.Tests;

/// <summary>What the run folder says of the memory on nodes.</summary>
public sealed class KeptShapeTests
{
    private static KeptShape Of(int data, string node = "here") => new(new ParallelShape(data, 1, 1, 1), [3], [.. Enumerable.Repeat(node, data)], [.. Enumerable.Range(0, 2 * data).Select(number => number + 1000L)]);

    [Fact]
    public void The_newest_arrangement_comes_first_each_once_and_old_ones_go()
    {
        var path = Path.GetTempFileName();
        File.Delete(path);
        Assert.Empty(KeptShape.Read(path));
        for (var data = 1; data <= 9; data++) Of(data).Write(path);
        Of(3).Write(path);
        Of(3).Write(path);
        Assert.Equal([3, 9, 8, 7, 6, 5, 4, 2], KeptShape.Read(path).Select(kept => kept.Shape.Data));
        Assert.True(KeptShape.Read(path)[0].Is(Of(3).Cut, ["here", "here", "here"]));
        // Ranks on other nodes have other slices.
        Of(3, "there").Write(path);
        Assert.Equal([3, 3], KeptShape.Read(path).Take(2).Select(kept => kept.Shape.Data));
        Assert.False(KeptShape.Read(path)[0].Is(Of(3).Cut, ["here", "here", "here"]));
        File.Delete(path);
    }

    [Theory]
    [InlineData("nonsense")]
    [InlineData("null")]
    [InlineData("[{}]")]
    [InlineData("""[{"Shape":{"Data":2,"Tensor":1,"Pipeline":1,"Zero":0},"Ends":[3],"Nodes":["a","a"],"Sizes":[1,2]}]""")]
    public void A_damaged_file_is_told_and_replaced(string text)
    {
        var path = Path.GetTempFileName();
        File.WriteAllText(path, text);
        Assert.Equal(ExitCode.Damaged, Assert.Throws<PerennialException>(() => KeptShape.Read(path)).Code);
        Of(2).Write(path);
        Assert.Single(KeptShape.Read(path));
        File.Delete(path);
    }
}
