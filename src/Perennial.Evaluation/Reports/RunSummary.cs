using Perennial.Data.Yardsticks;
using Perennial.Evaluation.Charts;
using Perennial.Evaluation.Events;
using Perennial.Training;

namespace Perennial.Evaluation.Reports;

/// <summary>The few figures and the one sentence that tell how a run went.</summary>
/// <param name="history">The run.</param>
public sealed class RunSummary(RunHistory history)
{
    /// <summary>The recipe's name, or the folder's when the recipe has none.</summary>
    public string Name
    {
        get
        {
            var named = (history.Started?.RecipeYaml ?? "").Split('\n').FirstOrDefault(line => line.StartsWith("name:", StringComparison.Ordinal));
            if (named is not null && named[5..].Trim().Trim('"', '\'') is { Length: > 0 } name) return name;
            return history.Started is { } started ? Path.GetFileName(Path.TrimEndingDirectorySeparator(started.RunFolder)) : "run";
        }
    }

    /// <summary><c>finished</c>, <c>interrupted</c> or <c>running</c>.</summary>
    public string State => history.Result switch { { Completed: true } => "finished", not null => "interrupted", _ => "running" };

    /// <summary>Finished steps.</summary>
    public long Step => Math.Max(history.Result?.Step ?? 0, history.Steps.Count > 0 ? history.Steps[^1].Step : history.Started?.StartStep ?? 0);

    /// <summary>Tokens seen.</summary>
    public long Tokens => Math.Max(history.Result?.Tokens ?? 0, history.Steps.Count > 0 ? history.Steps[^1].Tokens : 0);

    /// <summary>Training loss averaged over the last twentieth of the steps (at least ten); NaN before the first.</summary>
    public double Loss => history.Steps.Count == 0 ? double.NaN
        : history.Steps.TakeLast(Math.Max(10, history.Steps.Count / 20)).Select(step => step.Loss).Where(double.IsFinite).DefaultIfEmpty(double.NaN).Average();

    /// <summary>The newest held-out bits per byte: the best of the weights scored then.</summary>
    public EvaluationDone? HeldOut => history.Evaluations.Where(e => Bits(e) is not null)
        .GroupBy(e => e.Step).OrderByDescending(group => group.Key).FirstOrDefault()?.MinBy(Bits);

    /// <summary>Held-out bits per byte of <see cref="HeldOut"/>, else what the run ended with; NaN when nothing was scored.</summary>
    public double BitsPerByte => HeldOut is { } e ? Bits(e)!.Value : history.Result?.BitsPerByte ?? double.NaN;

    /// <summary>Median seconds of a step; robust against the steps that waited for something.</summary>
    public double StepSeconds
    {
        get
        {
            var seconds = history.Steps.TakeLast(500).Select(step => step.Seconds).Where(double.IsFinite).Order().ToArray();
            return seconds.Length == 0 ? double.NaN : seconds[seconds.Length / 2];
        }
    }

    /// <summary>Training tokens a second: the run's own figure, or that of the median step.</summary>
    public double TokensPerSecond => history.Result?.TokensPerSecond ?? (history.Started is { } started ? started.TokensPerStep / StepSeconds : double.NaN);

    /// <summary>Model FLOP utilization; NaN when no ceiling was measured.</summary>
    public double Mfu => history.Started is { CeilingFlops: > 0 } started ? TokensPerSecond * started.FlopsPerToken / started.CeilingFlops : double.NaN;

    /// <summary>Seconds spent in committed steps, over all sessions.</summary>
    public double TrainingSeconds => history.Steps.Sum(step => double.IsFinite(step.Seconds) ? step.Seconds : 0);

    /// <summary>What compressors need for the held-out text.</summary>
    public IReadOnlyList<Yardstick> Yardsticks => Yardstick.FromJson(history.Started?.Facts["yardsticks"]);

    /// <summary>One sentence: where the run stands and how its model compares with a compressor.</summary>
    public string Verdict
    {
        get
        {
            if (history.Started is not { } started) return "Nothing has happened yet.";
            var state = State switch
            {
                "finished" => $"Finished {Human.Whole(Step)} steps",
                "interrupted" => $"Interrupted, with its state saved, after {Human.Whole(Step)} of {Human.Whole(started.TotalSteps)} steps",
                _ => $"At step {Human.Whole(Step)} of {Human.Whole(started.TotalSteps)}",
            };
            if (!double.IsFinite(BitsPerByte)) return state + ".";
            var model = $"{state}: {Human.Fixed(BitsPerByte, 3)} bits per byte on text it never saw{(HeldOut is { Weights: not "raw" } e ? $" ({e.Weights} weights)" : "")}";
            return Yardsticks.Where(one => one.BitsPerByte is not null).MinBy(one => one.BitsPerByte) is not { BitsPerByte: { } bits } best
                ? model + "."
                : BitsPerByte <= bits
                    ? $"{model}, {Human.Percent(1 - BitsPerByte / bits)} below {best.Name} ({Human.Fixed(bits, 3)})."
                    : $"{model}; {best.Name} still needs less ({Human.Fixed(bits, 3)}).";
        }
    }

    private static double? Bits(EvaluationDone e) => e.Metrics.TryGetValue("bits_per_byte", out var bits) && double.IsFinite(bits) ? bits : null;
}
