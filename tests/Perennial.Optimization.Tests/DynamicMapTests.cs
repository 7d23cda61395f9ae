using System.Runtime.Intrinsics;

namespace Perennial.Optimization.Tests;

public class DynamicMapTests
{
    [Fact]
    public void The_tables_are_the_published_ones()
    {
        var (signed, unsigned) = (DynamicMap.Values(true), DynamicMap.Values(false));
        Assert.Equal(256, signed.Distinct().Count());
        Assert.Equal(256, unsigned.Distinct().Count());
        Assert.Equal(signed.Order(), signed);
        Assert.Equal(unsigned.Order(), unsigned);
        // The first and last entries of the published signed and unsigned maps.
        Assert.Equal(-0.99296875f, signed[0], 1e-7f);
        Assert.Equal(-5.5e-7f, signed[126], 1e-12f);
        Assert.Equal(0, signed[127]);
        Assert.Equal(0.99296875f, signed[254], 1e-7f);
        Assert.Equal(1, signed[255]);
        Assert.Equal(3.25e-7f, unsigned[1], 1e-12f);
        Assert.Equal(7.75e-7f, unsigned[2], 1e-12f);
        Assert.Equal(0.99648438f, unsigned[254], 1e-7f);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Every_code_comes_back_and_every_number_gets_the_nearest(bool signed)
    {
        var (map, tables) = (DynamicMap.Values(signed), DynamicMap.Tables.Of(signed));
        for (var code = 0; code < 256; code++)
        {
            var value = DynamicMap.Decode(Vector256.Create(code), tables, signed)[3];
            Assert.Equal(map[code], value, Math.Abs(map[code]) * 2e-6f);
            Assert.Equal(code, DynamicMap.Encode(Vector256.Create(map[code]), tables, signed)[5]);
        }
        var random = new Random(4);
        // Numbers anywhere, and both neighbours of every power of two.
        var tried = Enumerable.Range(0, 20000).Select(_ => (float)Math.Pow(10, -8 * random.NextDouble()))
            .Concat(Enumerable.Range(0, 40).SelectMany(i => MathF.Pow(2, -i) is var power ? new[] { power, MathF.BitDecrement(power), i == 0 ? power : MathF.BitIncrement(power) } : []));
        foreach (var number in tried.SelectMany(number => signed ? new[] { number, -number } : [number]))
        {
            var chosen = map[DynamicMap.Encode(Vector256.Create(number), tables, signed)[0]];
            var best = map.Min(value => Math.Abs(value - number));
            Assert.True(Math.Abs(chosen - number) <= best + 1e-6f * Math.Abs(number), $"{number}: {chosen}");
        }
    }
}
