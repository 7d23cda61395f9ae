namespace Perennial.Evaluation.Charts;

/// <summary>A point of a curve.</summary>
/// <param name="X">Position along the run, such as a step.</param>
/// <param name="Y">Value; points that are not finite break the curve.</param>
public readonly record struct ChartPoint(double X, double Y);

/// <summary>How a curve is drawn.</summary>
public enum CurveStyle
{
    /// <summary>A full line.</summary>
    Line,

    /// <summary>A thin, pale line behind the others: the unsmoothed values.</summary>
    Faint,

    /// <summary>A line with a dot at every point: few, separate measurements.</summary>
    Dotted,
}

/// <summary>A curve.</summary>
/// <param name="Name">What the legend says.</param>
/// <param name="Points">Its points, x ascending.</param>
/// <param name="Style">How it is drawn.</param>
public sealed record ChartSeries(string Name, IReadOnlyList<ChartPoint> Points, CurveStyle Style = CurveStyle.Line);

/// <summary>A horizontal line to compare with.</summary>
/// <param name="Name">Its label.</param>
/// <param name="Y">Its value.</param>
public sealed record ChartLevel(string Name, double Y);

/// <summary>A moment of the run worth a mark, drawn as a vertical line.</summary>
/// <param name="X">Where.</param>
/// <param name="Name">What happened; shown on hover.</param>
/// <param name="IsTrouble">Whether it is drawn in the colour of trouble.</param>
public sealed record ChartMark(double X, string Name, bool IsTrouble = false);

/// <summary>A second scale on the right: the left one times a factor.</summary>
/// <param name="Label">What it shows.</param>
/// <param name="Factor">Right value = left value · factor.</param>
/// <param name="Format">How its ticks are written.</param>
public sealed record ChartRightAxis(string Label, double Factor, Func<double, string> Format);

/// <summary>A chart of curves over the run; <see cref="SvgChart.Render"/> draws it.</summary>
public sealed record LineChart
{
    /// <summary>Unique in its page: letters, digits, hyphens.</summary>
    public required string Id { get; init; }

    /// <summary>Heading.</summary>
    public required string Title { get; init; }

    /// <summary>What the curve says, in words, for those who do not see it.</summary>
    public required string Description { get; init; }

    /// <summary>Label of the horizontal axis.</summary>
    public string XLabel { get; init; } = "step";

    /// <summary>Label of the vertical axis, with its unit.</summary>
    public required string YLabel { get; init; }

    /// <summary>The curves, those in front last.</summary>
    public required IReadOnlyList<ChartSeries> Series { get; init; }

    /// <summary>Horizontal lines to compare with.</summary>
    public IReadOnlyList<ChartLevel> Levels { get; init; } = [];

    /// <summary>Moments of the run.</summary>
    public IReadOnlyList<ChartMark> Marks { get; init; } = [];

    /// <summary>A second scale on the right.</summary>
    public ChartRightAxis? RightAxis { get; init; }

    /// <summary>Whether the vertical axis is logarithmic; values at or below 0 are then left out.</summary>
    public bool Logarithmic { get; init; }

    /// <summary>Whether the vertical axis begins at 0.</summary>
    public bool FromZero { get; init; }

    /// <summary>How values are written on the axis and on hover.</summary>
    public Func<double, string> Format { get; init; } = Human.Number;
}
