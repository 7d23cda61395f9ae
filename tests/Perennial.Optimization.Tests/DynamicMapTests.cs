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
            Assert.Equal(code, Code(map[code], tables, signed));
        }
        var random = new Random(4);
        // Numbers anywhere, zero, and both neighbours of every power of two.
        var tried = Enumerable.Range(0, 20000).Select(_ => (float)Math.Pow(10, -8 * random.NextDouble())).Append(0)
            .Concat(Enumerable.Range(0, 40).SelectMany(i => MathF.Pow(2, -i) is var power ? new[] { power, MathF.BitDecrement(power), i == 0 ? power : MathF.BitIncrement(power) } : []));
        foreach (var number in tried.SelectMany(number => signed ? new[] { number, -number } : [number]))
        {
            var chosen = map[Code(number, tables, signed)];
            var best = map.Min(value => Math.Abs(value - number));
            Assert.True(Math.Abs(chosen - number) <= best + 1e-6f * Math.Abs(number), $"{number}: {chosen}");
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Codes_become_bytes_in_order(bool signed)
    {
        var first = signed ? 127 : -1;
        Vector256<int>[] places = [.. Enumerable.Range(0, 4).Select(part => Vector256.Create([.. Enumerable.Range(0, 8).Select(i => 8 * (8 * part + i) - 1 - first)]))];
        var bytes = DynamicMap.Narrow(places[0], places[1], places[2], places[3], signed);
        for (var i = 0; i < 32; i++) Assert.Equal(Math.Max(8 * i - 1, 0), bytes[i]);
    }

    private static byte Code(float number, in DynamicMap.Tables tables, bool signed)
    {
        var codes = DynamicMap.Encode(Vector256.Create(number), tables, signed);
        return DynamicMap.Narrow(codes, codes, codes, codes, signed)[5];
    }
}
