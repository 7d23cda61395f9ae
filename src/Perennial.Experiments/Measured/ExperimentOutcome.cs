using Perennial.Experiments.Runs;

namespace Perennial.Experiments.Measured;

/// <summary>What an experiment measured.</summary>
public sealed record ExperimentOutcome
{
    /// <summary>Name → finite number; at least those that the paper's <c>measures</c> name.</summary>
    public required IReadOnlyDictionary<string, double> Measures { get; init; }

    /// <summary>Curves for the page.</summary>
    public IReadOnlyList<MeasuredCurve> Curves { get; init; } = [];

    /// <summary>Parameters of the models trained; 0 when none was.</summary>
    public long Parameters { get; init; }

    /// <summary>Tokens trained on; 0 when none were.</summary>
    public long Tokens { get; init; }

    /// <summary>Training floating-point operations spent; 0 when none were.</summary>
    public double Flops { get; init; }
}

/// <summary>A curve of an experiment; curves of one name and different arms share a chart.</summary>
/// <param name="Name">Its name: the chart's title.</param>
/// <param name="XLabel">What is on the horizontal axis, with its unit.</param>
/// <param name="YLabel">What is on the vertical axis, with its unit.</param>
/// <param name="Points">Its points, ascending.</param>
public sealed record MeasuredCurve(string Name, string XLabel, string YLabel, IReadOnlyList<CurvePoint> Points);
