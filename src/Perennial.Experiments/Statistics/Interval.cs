namespace Perennial.Experiments.Statistics;

/// <summary>A mean and the interval that likely holds the true one.</summary>
/// <param name="Mean">Arithmetic mean of the values.</param>
/// <param name="Low">Lower end.</param>
/// <param name="High">Upper end.</param>
public readonly record struct Interval(double Mean, double Low, double High);
