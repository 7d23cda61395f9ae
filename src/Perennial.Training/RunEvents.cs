using System.Text.Json.Nodes;

namespace Perennial.Training;

/// <summary>Something that happened in a run, told to every observer in order. Observers never bend the path of training.</summary>
public abstract record RunEvent;

/// <summary>The run is about to train: what will happen.</summary>
/// <param name="RunFolder">The run's folder.</param>
/// <param name="RecipeYaml">The resolved recipe.</param>
/// <param name="Parameters">Number of parameters.</param>
/// <param name="TotalSteps">Planned steps.</param>
/// <param name="TokensPerStep">Tokens of one step.</param>
/// <param name="StartStep">Finished steps at the start (above 0 on resume).</param>
/// <param name="FlopsPerToken">Training floating-point operations of one token.</param>
/// <param name="CeilingFlops">Matrix-product ceiling in FLOP/s for the run's precision: what one process measured, times the number of processes; 0 when not measured.</param>
/// <param name="Facts">
/// What the report tells about where and on what the run happened; objects become tables, unknown keys are shown as they are:
/// <c>environment</c> (processor, cores, threads, memory_bytes, system, dotnet, torchsharp, libtorch, perennial, revision, precision),
/// <c>data</c> (fingerprint, tokenizer, documents, training_tokens, held_out_documents, held_out_tokens, held_out_bytes), and
/// <c>yardsticks</c> (the list that <c>Yardsticks.ToJson</c> of Perennial.Data makes from the held-out text).
/// </param>
public sealed record RunStarted(
    string RunFolder, string RecipeYaml, long Parameters, long TotalSteps, long TokensPerStep, long StartStep,
    double FlopsPerToken, double CeilingFlops, JsonObject Facts) : RunEvent;

/// <summary>A step was committed.</summary>
/// <param name="Step">One-based number of the step.</param>
/// <param name="Tokens">Tokens seen so far, this step included.</param>
/// <param name="Loss">Mean training loss of the step, nats a target.</param>
/// <param name="GradientNorm">Global gradient norm before clipping.</param>
/// <param name="Rate">Learning rate applied.</param>
/// <param name="Seconds">Wall time of the step.</param>
/// <param name="SnapshotLag">Steps by which the newest durable checkpoint is behind.</param>
public sealed record StepDone(long Step, long Tokens, double Loss, double GradientNorm, double Rate, double Seconds, long SnapshotLag) : RunEvent;

/// <summary>A step was not committed: its gradients were not finite or its loss or norm spiked.</summary>
/// <param name="Step">One-based number the step would have had.</param>
/// <param name="Reason">What was seen.</param>
/// <param name="Action">What the policy did: <c>skip</c>, <c>roll-back</c>, <c>lower-rate</c>, <c>stop</c>.</param>
/// <param name="SampleIds">The samples of the step.</param>
public sealed record StepRefused(long Step, string Reason, string Action, IReadOnlyList<long> SampleIds) : RunEvent;

/// <summary>Held-out text was scored.</summary>
/// <param name="Step">Finished steps.</param>
/// <param name="Task">What was measured, such as <c>bits-per-byte</c>.</param>
/// <param name="Weights"><c>raw</c>, or the practice whose weights were scored (<c>ema</c>, <c>average</c>).</param>
/// <param name="Metrics">Name → value, such as <c>loss</c> (nats a token), <c>bits_per_byte</c>, <c>perplexity</c>.</param>
public sealed record EvaluationDone(long Step, string Task, string Weights, IReadOnlyDictionary<string, double> Metrics) : RunEvent;

/// <summary>Held-out text of every stage was scored: one row of what the forgetting matrix and the stability gap are made of.</summary>
/// <param name="Step">Finished steps of the run.</param>
/// <param name="Stage">Number of the stage that the weights are of.</param>
/// <param name="Name">Its name.</param>
/// <param name="StageStep">Its finished steps; 0 in the first stage: before all training.</param>
/// <param name="IsEnd">Whether the stage is finished.</param>
/// <param name="IsBranch">Whether the stage is a branch.</param>
/// <param name="Own">The name of the stage's own text.</param>
/// <param name="Weights"><c>raw</c>, or the practice whose weights were scored.</param>
/// <param name="Texts">What was measured on each text.</param>
public sealed record StageMeasured(long Step, int Stage, string Name, long StageStep, bool IsEnd, bool IsBranch, string Own, string Weights, IReadOnlyList<TextMeasured> Texts) : RunEvent;

/// <summary>What was measured on one text.</summary>
/// <param name="Text">Its name.</param>
/// <param name="Metrics">Name → value, <c>loss</c> (nats a token) and <c>bits_per_byte</c> among them; empty where nothing of it is held out.</param>
public sealed record TextMeasured(string Text, IReadOnlyDictionary<string, double> Metrics);

/// <summary>A stage is finished.</summary>
/// <param name="Step">Finished steps of the run.</param>
/// <param name="Stage">Its number.</param>
/// <param name="Name">Its name.</param>
/// <param name="Steps">Its steps.</param>
/// <param name="Tokens">Its tokens.</param>
/// <param name="FreshTokens">Those of them that its stream gave: what is left was replayed.</param>
/// <param name="Folder">Where its model is.</param>
public sealed record StageFinished(long Step, int Stage, string Name, long Steps, long Tokens, long FreshTokens, string Folder) : RunEvent;

/// <summary>The model wrote something.</summary>
/// <param name="Step">Finished steps.</param>
/// <param name="Prompt">What it was given.</param>
/// <param name="Text">What it wrote.</param>
public sealed record SampleWritten(long Step, string Prompt, string Text) : RunEvent;

/// <summary>A checkpoint became durable.</summary>
/// <param name="Step">Its step.</param>
/// <param name="Folder">Its folder.</param>
/// <param name="Bytes">Bytes written.</param>
/// <param name="Seconds">Seconds from snapshot to durable.</param>
public sealed record CheckpointWritten(long Step, string Folder, long Bytes, double Seconds) : RunEvent
{
    /// <summary>The node whose snapshot manager wrote it; null where a trainer did.</summary>
    public string? Manager { get; init; }
}

/// <summary>One source of a mixture.</summary>
/// <param name="Source">Its name.</param>
/// <param name="Promised">The share of samples that the recipe asked for, 0 to 1.</param>
/// <param name="Delivered">The share that was delivered so far, 0 to 1.</param>
/// <param name="Tokens">Tokens delivered so far.</param>
/// <param name="Epochs">Passes over its training text so far.</param>
public sealed record MixtureShare(string Source, double Promised, double Delivered, long Tokens, double Epochs = 0);

/// <summary>What a mixture delivered against what it promised; told at every evaluation point and at the end.</summary>
/// <param name="Step">Finished steps.</param>
/// <param name="Shares">One entry a source, in the recipe's order.</param>
public sealed record MixtureMeasured(long Step, IReadOnlyList<MixtureShare> Shares) : RunEvent;

/// <summary>A mixture that changes along the run decided the weights of its next stretch.</summary>
/// <param name="Step">Finished steps.</param>
/// <param name="From">First position of the stretch, in samples.</param>
/// <param name="Weights">Shares, <c>[sources]</c>; they sum to 1.</param>
/// <param name="Losses">Held-out losses that they follow, nats a target, <c>[sources]</c>; null where they follow none.</param>
/// <param name="Entropy">Entropy of the shares over that of equal ones, 0 to 1.</param>
public sealed record MixtureChosen(long Step, long From, IReadOnlyList<double> Weights, IReadOnlyList<double>? Losses, double Entropy) : RunEvent;

/// <summary>Which source helps which was learned by short runs, each taken back.</summary>
/// <param name="Step">Finished steps.</param>
/// <param name="Graph">Entry (i, j): how much source i helps source j, <c>[sources, sources]</c>.</param>
/// <param name="Steps">Steps of the short runs together: what it cost beside the run.</param>
public sealed record GraphLearned(long Step, IReadOnlyList<IReadOnlyList<double>> Graph, long Steps) : RunEvent;

/// <summary>Which process computed which samples of a committed step; told where several processes train together.</summary>
/// <param name="Step">The step.</param>
/// <param name="Epoch">The membership's number.</param>
/// <param name="ByRank">Sample ids of each process, in rank order; together the batch, in its order.</param>
public sealed record SamplesCommitted(long Step, long Epoch, IReadOnlyList<IReadOnlyList<long>> ByRank) : RunEvent;

/// <summary>Training goes on with other processes than before.</summary>
/// <param name="Step">Committed steps that the processes agreed on.</param>
/// <param name="Epoch">The new membership's number.</param>
/// <param name="Before">Processes before.</param>
/// <param name="After">Processes now.</param>
/// <param name="Reason">What failed, and who went and came.</param>
/// <param name="Phases">How long each part of it took.</param>
/// <param name="At">When the processes agreed on a state.</param>
public sealed record Recovered(long Step, long Epoch, int Before, int After, string Reason, RecoveryPhases Phases, DateTimeOffset At) : RunEvent
{
    /// <summary>Whether nothing was lost and processes came: taken in at the end of a step.</summary>
    public bool IsGrowth => After > Before && Phases.Detect == 0;
}

/// <summary>Parts of a recovery, seconds; not a number where one was not measured.</summary>
/// <param name="Detect">How long the call that failed had waited: the loss was at most so long before.</param>
/// <param name="Agree">From there to the new membership.</param>
/// <param name="Group">From there to connected processes.</param>
/// <param name="Plan">Who computes what from now on.</param>
/// <param name="Move">From connected processes to one state on all of them.</param>
/// <param name="Replay">The step that was under way, done again.</param>
public sealed record RecoveryPhases(double Detect, double Agree, double Group, double Plan, double Move, double Replay);

/// <summary>A line for people: a resume, a skipped damaged checkpoint, a warning.</summary>
/// <param name="Level"><c>info</c> or <c>warning</c>.</param>
/// <param name="Message">One line.</param>
public sealed record Notice(string Level, string Message) : RunEvent;

/// <summary>The run is over.</summary>
/// <param name="Result">How it ended.</param>
public sealed record RunFinished(RunResult Result) : RunEvent;

/// <summary>How a run ended; the last line of <c>train --json</c>.</summary>
public sealed record RunResult
{
    /// <summary>Whether it reached its planned end (false: interrupted, state saved).</summary>
    public required bool Completed { get; init; }

    /// <summary>Finished steps.</summary>
    public required long Step { get; init; }

    /// <summary>Tokens seen.</summary>
    public required long Tokens { get; init; }

    /// <summary>Last training loss, nats a target.</summary>
    public required double Loss { get; init; }

    /// <summary>Held-out bits per byte; null when there is no held-out text.</summary>
    public double? BitsPerByte { get; init; }

    /// <summary>Training tokens a second, evaluation and checkpoints left out.</summary>
    public required double TokensPerSecond { get; init; }

    /// <summary>Model FLOP utilization against the measured ceiling, 0 to 1.</summary>
    public required double Mfu { get; init; }

    /// <summary>XXH128 over the training state, hex: equal hashes mean equal futures.</summary>
    public required string StateHash { get; init; }
}

/// <summary>Sees every event of a run, on the training thread, in order.</summary>
public interface IRunObserver
{
    /// <summary>Takes note of an event. Must be quick; must not throw for I/O of its own.</summary>
    void Observe(RunEvent happened);
}
