using Perennial.Resilience.Simulation;

namespace Perennial.Resilience.Restart;

/// <summary>One simulated makespan.</summary>
/// <param name="Time">From the first attempt's start to the first success.</param>
/// <param name="Attempts">Attempts it took, the successful one included.</param>
public readonly record struct SampledMakespan(double Time, int Attempts);

/// <summary>Simulated makespans, attempt by attempt: what the closed form is checked against, and the only source of quantiles.</summary>
public static class MakespanSampler
{
    /// <summary>Draws makespans in antithetic pairs: element 2i and 2i+1 use u and 1 − u.</summary>
    /// <param name="model">Attempts.</param>
    /// <param name="detector">The detector that aborts; a recall and false abort of 0 for none.</param>
    /// <param name="count">How many makespans.</param>
    /// <param name="seed">Seed; the same seed gives the same makespans.</param>
    /// <returns>Makespans in the model's unit.</returns>
    /// <exception cref="ArgumentException">No attempt can ever succeed.</exception>
    public static SampledMakespan[] Draw(MakespanModel model, Detector detector, int count, ulong seed)
    {
        ArgumentNullException.ThrowIfNull(model);
        if (model.Success * (1 - detector.FalseAbort) <= 0) throw new ArgumentException("no attempt can ever succeed, so the makespan has no end");
        var makespans = new SampledMakespan[count];
        // A stream for every pair, so that the partners' draws stay aligned from the first attempt on.
        for (var i = 0; i < count; i++) makespans[i] = One(model, detector, new RandomStream(seed, (ulong)i / 2, mirrored: i % 2 == 1));
        return makespans;
    }

    private static SampledMakespan One(MakespanModel model, Detector detector, RandomStream random)
    {
        var (kept, missed) = (model.Success * (1 - detector.FalseAbort), (1 - model.Success) * (1 - detector.Recall));
        var wasted = model.Success * detector.FalseAbort;
        var time = 0.0;
        for (var attempt = 1; ; attempt++)
        {
            time += model.Overhead;
            var draw = random.Uniform();
            if (draw < kept) return new(time + model.SuccessTime.Draw(random), attempt);
            time += (draw < kept + missed ? model.FailureTime : draw < kept + missed + wasted ? detector.AbortTimeOfSuccess : detector.AbortTimeOfFailure).Draw(random);
        }
    }
}
