using System.Globalization;
using System.Xml.Linq;
using Perennial.Evaluation.Charts;

namespace Perennial.Evaluation.Tests;

public class SvgChartTests
{
    private static readonly LineChart Sample = new()
    {
        Id = "held-out",
        Title = "Held-out <bits> & bytes",
        Description = "Falls.",
        YLabel = "bits per byte",
        Series = [new ChartSeries("model", [new(10, 3), new(20, 2), new(30, double.NaN), new(40, 1.5)], CurveStyle.Dotted), new ChartSeries("none", [])],
        Levels = [new ChartLevel("gzip -9", 2.9), new ChartLevel("zstd -19", 2.41), new ChartLevel("xz -9e", 2.4)],
        Marks = [new ChartMark(20, "resumed after step 20"), new ChartMark(99, "outside")],
        RightAxis = null,
        Format = value => Human.Fixed(value, 2),
    };

    [Fact]
    public void A_chart_is_drawn_as_it_was() => Golden.Check("held-out.svg", SvgChart.Render(Sample).Replace("><", ">\n<", StringComparison.Ordinal) + "\n");

    [Fact]
    public void Points_lie_where_the_axes_say()
    {
        var svg = XElement.Parse(SvgChart.Render(Sample));
        var plot = Numbers(svg.Attribute("data-plot")!.Value);
        var (x, y) = (Numbers(svg.Attribute("data-x")!.Value), Numbers(svg.Attribute("data-y")!.Value));
        var drawn = svg.Descendants("polyline").Single().Attribute("points")!.Value.Split(' ').Select(point => Numbers(point.Replace(',', ' '))).ToList();
        var values = drawn.Select(p => (x[0] + (p[0] - plot[0]) / (plot[2] - plot[0]) * (x[1] - x[0]), y[0] + (plot[3] - p[1]) / (plot[3] - plot[1]) * (y[1] - y[0]))).ToList();
        Assert.Equal(3, values.Count);
        foreach (var (expected, (gotX, gotY)) in new (double X, double Y)[] { (10, 3), (20, 2), (40, 1.5) }.Zip(values))
        {
            Assert.Equal(expected.X, gotX, 0.1);
            Assert.Equal(expected.Y, gotY, 0.01);
        }
    }

    [Fact]
    public void It_can_be_read_without_seeing_it()
    {
        var svg = XElement.Parse(SvgChart.Render(Sample));
        Assert.Equal("img", svg.Attribute("role")!.Value);
        Assert.Equal("Held-out <bits> & bytes", svg.Element("title")!.Value);
        Assert.Equal("Falls.", svg.Element("desc")!.Value);
        Assert.Contains(svg.Descendants("circle"), circle => circle.Value == "model, step 40: 1.50");
        Assert.Contains(svg.Descendants("line"), line => line.Value == "resumed after step 20");
        Assert.DoesNotContain("outside", svg.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Labels_of_close_levels_do_not_overlap()
    {
        var at = XElement.Parse(SvgChart.Render(Sample)).Descendants("g").Where(g => g.Attribute("class")?.Value == "level")
            .Select(g => double.Parse(g.Element("text")!.Attribute("y")!.Value, CultureInfo.InvariantCulture)).ToList();
        Assert.Equal(3, at.Count);
        Assert.All(at.Zip(at.Skip(1)), pair => Assert.True(pair.Second - pair.First >= 14));
    }

    [Fact]
    public void Nothing_to_draw_is_said() =>
        Assert.Contains("nothing measured yet", XElement.Parse(SvgChart.Render(Sample with { Series = [] })).Value, StringComparison.Ordinal);

    [Theory]
    [InlineData(0, "0")]
    [InlineData(0.00025, "2.5e-4")]
    [InlineData(0.0015, "0.0015")]
    [InlineData(0.012345, "0.0123")]
    [InlineData(3.14159, "3.142")]
    [InlineData(1234.5, "1,235")]
    [InlineData(16384, "16.38k")]
    [InlineData(5123840, "5.124M")]
    [InlineData(double.NaN, "–")]
    public void Numbers_are_short(double value, string text) => Assert.Equal(text, Human.Number(value));

    [Theory]
    [InlineData(0.5, "500 ms")]
    [InlineData(12.34, "12.3 s")]
    [InlineData(245, "4 min 05 s")]
    [InlineData(7800, "2 h 10 min")]
    [InlineData(273600, "3 d 04 h")]
    public void Durations_are_short(double seconds, string text) => Assert.Equal(text, Human.Duration(seconds));

    private static double[] Numbers(string text) => [.. text.Split(' ').Select(word => double.Parse(word, CultureInfo.InvariantCulture))];
}
