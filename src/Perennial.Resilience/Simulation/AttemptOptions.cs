using System.ComponentModel.DataAnnotations;
using Perennial.Resilience.Restart;

namespace Perennial.Resilience.Simulation;

/// <summary>Attempts with a detector, for the closed forms of the makespan (paper 19).</summary>
public sealed record AttemptOptions
{
    /// <summary>p: an attempt succeeds.</summary>
    [Range(0.0, 1.0, MinimumIsExclusive = true)]
    public double Success { get; init; } = 0.5;

    /// <summary>S: seconds of a success.</summary>
    [Range(0.0, double.MaxValue)]
    public double SuccessSeconds { get; init; } = 60;

    /// <summary>F: seconds of a failure.</summary>
    [Range(0.0, double.MaxValue)]
    public double FailureSeconds { get; init; } = 40;

    /// <summary>c: seconds before every attempt.</summary>
    [Range(0.0, double.MaxValue)]
    public double OverheadSeconds { get; init; } = 1;

    /// <summary>r: share of failures that are noticed.</summary>
    [Range(0.0, 1.0)]
    public double Recall { get; init; } = 0.8;

    /// <summary>q: share of successes that are aborted by mistake.</summary>
    [Range(0.0, 1.0, MaximumIsExclusive = true)]
    public double FalseAbort { get; init; } = 0.1;

    /// <summary>Seconds after which an attempt is aborted.</summary>
    [Range(0.0, double.MaxValue)]
    public double AbortSeconds { get; init; } = 12;

    /// <summary>Makespans drawn one by one beside the closed forms, with exponential times; 0 for none.</summary>
    [Range(0, 100_000_000)]
    public int Sequences { get; init; } = 200_000;

    /// <summary>The closed forms, and what drawn makespans say.</summary>
    /// <param name="seed">Seed of the draws.</param>
    public AttemptResult Result(ulong seed)
    {
        var model = new MakespanModel(Success, SuccessSeconds, FailureSeconds, OverheadSeconds);
        var detector = new Detector(Recall, FalseAbort, AbortSeconds);
        return new(model.WithoutDetector, model.WithDetector(detector), Math.Sqrt(model.VarianceWithoutDetector), Math.Sqrt(model.VarianceWithDetector(detector)),
            model.BreakEvenRecall(FalseAbort, AbortSeconds, AbortSeconds), model.Pays(detector), Drawn(new Detector(0, 0, 0)), Drawn(detector));

        double? Drawn(Detector used) => Sequences == 0 ? null : MakespanSampler.Draw(
            model with { SuccessTime = new(SuccessSeconds, DurationLaw.Exponential), FailureTime = new(FailureSeconds, DurationLaw.Exponential) }, used, Sequences, seed).Average(one => one.Time);
    }
}

/// <summary>Makespans in seconds.</summary>
/// <param name="Without">E_0.</param>
/// <param name="With">E_mon.</param>
/// <param name="DeviationWithout">Standard deviation without the detector, for fixed times.</param>
/// <param name="DeviationWith">Standard deviation with it.</param>
/// <param name="BreakEvenRecall">The least recall that pays; null when none does.</param>
/// <param name="Adopt">Whether aborting pays.</param>
/// <param name="DrawnWithout">Mean of drawn makespans without the detector; null when none were drawn.</param>
/// <param name="DrawnWith">The same with it.</param>
public sealed record AttemptResult(double Without, double With, double DeviationWithout, double DeviationWith, double? BreakEvenRecall, bool Adopt, double? DrawnWithout, double? DrawnWith);
