using System.Globalization;
using Perennial.Core;
using Perennial.Resilience.Simulation;

namespace Perennial.Resilience.Restart;

/// <summary>
/// Decides whether an attempt that is predicted to fail is stopped (paper 19 §7). It monitors until the posterior says with confidence that aborting
/// pays, and goes back to monitoring when that is no longer so. A restart must change the draw, and their number is capped: a fault that is in the
/// code fails every time.
/// </summary>
/// <param name="options">Thresholds.</param>
/// <param name="seed">Seed of the shadow choice and of the posterior's draws.</param>
/// <param name="log">Takes every decision and change of mode as one line; null for none.</param>
public sealed class RestartPolicy(RestartOptions options, ulong seed, Action<string>? log = null)
{
    // Items of the random stream: judgements use the attempt's number, the shadow choice this range above them.
    private const ulong ShadowItems = 1UL << 40;

    /// <summary>Decides about a live attempt at a check.</summary>
    /// <param name="state">What is known.</param>
    /// <param name="probability">Predicted probability of failure, 0 to 1.</param>
    /// <param name="threshold">The detector's threshold at this check.</param>
    /// <param name="seconds">Since the attempt's start.</param>
    public RestartDecision Check(RestartState state, double probability, double threshold, double seconds)
    {
        ArgumentNullException.ThrowIfNull(state);
        var what = string.Create(CultureInfo.InvariantCulture, $"attempt {state.Attempts.Count + 1} at {seconds:0.#} s: predicted failure {probability:0.000}");
        return Logged(options.When == RestartWhen.Never ? new(RestartAction.Continue, $"{what}; restarts are off")
            : !(probability >= threshold) ? new(RestartAction.Continue, string.Create(CultureInfo.InvariantCulture, $"{what}, below {threshold:0.000}"))
            : state.Mode == RestartMode.Monitor ? new(RestartAction.Continue, $"{what}; only monitoring: it is not yet known with confidence that aborting pays")
            : state.Restarts >= options.Maximum ? new(RestartAction.Continue, $"{what}, but all {options.Maximum} restarts are used: look for a fault that every attempt has", Alarm: true)
            : IsShadow(state) ? new(RestartAction.Shadow, $"{what}; runs on as a shadow attempt")
            : new(RestartAction.Abort, $"{what}; aborted"));
    }

    /// <summary>Whether the present attempt would be let pass: a pure function of seed and attempt number, so every check of it agrees.</summary>
    public bool IsShadow(RestartState state)
    {
        ArgumentNullException.ThrowIfNull(state);
        return new RandomStream(seed, ShadowItems + (ulong)state.Attempts.Count).Uniform() < options.Shadow;
    }

    /// <summary>Takes a finished attempt in, and judges anew whether aborting pays.</summary>
    public RestartState Finish(RestartState state, AttemptRecord attempt)
    {
        ArgumentNullException.ThrowIfNull(state);
        ArgumentNullException.ThrowIfNull(attempt);
        IReadOnlyList<AttemptRecord> attempts = [.. state.Attempts, attempt];
        return state with { Attempts = attempts, Mode = NextMode(state.Mode, attempts) };
    }

    /// <summary>The state in which the next attempt starts after an abort or a failure: another draw, one restart more.</summary>
    /// <exception cref="PerennialException">Exit 1: the restarts are used up, or the changes lead back to a draw already tried.</exception>
    public RestartState Restart(RestartState state)
    {
        ArgumentNullException.ThrowIfNull(state);
        if (state.Restarts >= options.Maximum)
            throw PerennialException.Failed($"all {options.Maximum} restarts are used; a fault that every attempt has is likely (resilience.restart.maximum)");
        var draw = options.Change.Aggregate(state.Draw, (present, change) => DrawChange.TryParse(change)!.Apply(present));
        if (state.Used.Contains(draw))
            throw PerennialException.Failed($"a restart with {draw} would repeat an attempt and fail again; 'resilience.restart.change' must lead to a new draw");
        log?.Invoke($"restart {state.Restarts + 1} of {options.Maximum}: {string.Join(", ", options.Change)}");
        return state with { Draw = draw, Restarts = state.Restarts + 1, Used = [.. state.Used, draw] };
    }

    private RestartMode NextMode(RestartMode mode, IReadOnlyList<AttemptRecord> attempts)
    {
        var enough = attempts.Count(attempt => attempt.Succeeded == true) >= options.Evidence && attempts.Count(attempt => attempt.Succeeded == false) >= options.Evidence;
        if (mode == RestartMode.Monitor && !enough) return mode;
        if (MakespanPosterior.Judge(attempts, options.Draws, seed) is not { } verdict) return mode;
        var next = mode == RestartMode.Monitor
            ? verdict.Confidence >= options.Confidence ? RestartMode.Preempt : RestartMode.Monitor
            : verdict.Confidence < options.Leave ? RestartMode.Monitor : RestartMode.Preempt;
        if (next != mode)
        {
            log?.Invoke(string.Create(CultureInfo.InvariantCulture,
                $"{mode} -> {next}: aborting pays with probability {verdict.Confidence:0.000}; expected makespan {verdict.With:0.#} s with, {verdict.Without:0.#} s without"));
        }
        return next;
    }

    private RestartDecision Logged(RestartDecision decision)
    {
        log?.Invoke(decision.Reason);
        return decision;
    }
}
