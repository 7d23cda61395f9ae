using System.Text.Json.Serialization;

namespace Perennial.Experiments.Runs;

/// <summary>A point of a curve.</summary>
/// <param name="At">Tokens seen; in an experiment whatever its horizontal axis says.</param>
/// <param name="Value">Value.</param>
public readonly record struct CurvePoint([property: JsonPropertyName("tokens")] double At, double Value);

/// <summary>What the axes of an experiment's curve show.</summary>
/// <param name="X">Horizontal.</param>
/// <param name="Y">Vertical.</param>
public sealed record CurveAxes(string X, string Y);

/// <summary>What a finished run measured.</summary>
public sealed record TrialOutcome
{
    /// <summary>Weights → metric → value at the end of the run.</summary>
    public required IReadOnlyDictionary<string, IReadOnlyDictionary<string, double>> Final { get; init; }

    /// <summary>Name → curve over the run: <c>weights/metric</c> of every evaluation, <c>rate</c>, <c>training-loss</c>.</summary>
    public required IReadOnlyDictionary<string, IReadOnlyList<CurvePoint>> Curves { get; init; }

    /// <summary>Name → number that an experiment measured; empty for a training.</summary>
    public IReadOnlyDictionary<string, double> Measures { get; init; } = new Dictionary<string, double>();

    /// <summary>Axes of an experiment's curves, by the curve's name; empty for a training.</summary>
    public IReadOnlyDictionary<string, CurveAxes> Axes { get; init; } = new Dictionary<string, CurveAxes>();

    /// <summary>Parameters trained.</summary>
    public required long Parameters { get; init; }

    /// <summary>Tokens seen.</summary>
    public required long Tokens { get; init; }

    /// <summary>Training floating-point operations spent.</summary>
    public required double Flops { get; init; }

    /// <summary>Wall time, seconds.</summary>
    public required double Seconds { get; init; }

    /// <summary>Hash of the final training state: equal hashes mean equal runs.</summary>
    public required string StateHash { get; init; }
}
