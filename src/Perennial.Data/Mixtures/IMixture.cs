using System.Text.Json.Nodes;
using Perennial.Core;

namespace Perennial.Data.Mixtures;

/// <summary>What a mixture knows of one source.</summary>
/// <param name="Name">The recipe's name for it.</param>
/// <param name="Weight">The recipe's weight.</param>
/// <param name="Windows">Training windows: samples of one pass.</param>
public sealed record MixtureSource(string Name, double Weight, long Windows);

/// <summary>What a mixture's constructor may ask for beside its options.</summary>
/// <param name="Sources">The sources in the recipe's order.</param>
/// <param name="Run">The run's length and step.</param>
public sealed record MixtureContext(IReadOnlyList<MixtureSource> Sources, RunShape Run)
{
    /// <summary>Held-out loss of each source under a checkpoint's weights, <c>[sources]</c>; null where no model is at hand (inspection).</summary>
    public Func<string, IReadOnlyList<double>>? LossesOf { get; init; }
}

/// <summary>How long a run is, in what a sample stream counts.</summary>
/// <param name="SamplesPerStep">Samples of one step.</param>
/// <param name="Steps">Planned steps.</param>
/// <param name="TokensPerSample">Tokens of one sample.</param>
public sealed record RunShape(long SamplesPerStep, long Steps, long TokensPerSample)
{
    /// <summary>Samples of the whole run.</summary>
    public long Samples => SamplesPerStep * Steps;

    /// <summary>A stretch of the run in samples: whole steps, at least one when the stretch is above 0.</summary>
    public long ToSamples(RunLength length) => length.ToSteps(Steps, SamplesPerStep * TokensPerSample) * SamplesPerStep;
}

/// <summary>When weights are asked for.</summary>
/// <param name="Position">Samples that were read before.</param>
/// <param name="Delivered">Of these, each source's, <c>[sources]</c>.</param>
public sealed record MixtureMoment(long Position, IReadOnlyList<long> Delivered);

/// <summary>
/// The shares of the sources, chosen by <c>data.mixture</c>. Constructor services: its options and a <see cref="MixtureContext"/>. Weights hold
/// from the position they were asked for up to <see cref="Next"/>; they are recorded in the training state, so that the order of samples is a
/// pure function of (seed, position, recorded weights).
/// </summary>
[ComponentRole("mixture")]
public interface IMixture
{
    /// <summary>Whether weights follow losses, so that only a run (or its record) knows them.</summary>
    bool IsOnline => false;

    /// <summary>The next position at which weights are asked for, a whole number of steps; <see cref="long.MaxValue"/> for never.</summary>
    long Next(long position) => long.MaxValue;

    /// <summary>Weights from a position on, <c>[sources]</c>: at least 0, one of them above; only their ratios count.</summary>
    /// <param name="moment">Where the run is.</param>
    /// <param name="losses">Present held-out loss of each source, nats a target, <c>[sources]</c>; null unless <see cref="IsOnline"/>.</param>
    IReadOnlyList<double> Weights(MixtureMoment moment, IReadOnlyList<double>? losses);

    /// <summary>What it remembers between calls; null for nothing.</summary>
    JsonObject? Save() => null;

    /// <summary>Takes its memory back; null for that of the start.</summary>
    void Load(JsonObject? state)
    {
    }
}
