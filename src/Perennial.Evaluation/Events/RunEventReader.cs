using System.Text.Json;
using System.Text.Json.Nodes;
using Perennial.Training;

namespace Perennial.Evaluation.Events;

/// <summary>Reads back what <see cref="RunEventWriter"/> wrote.</summary>
public static class RunEventReader
{
    /// <summary>The event of one line, or null when the line is torn, foreign or of an unknown kind.</summary>
    public static RunEvent? Read(string line)
    {
        try
        {
            return JsonNode.Parse(line) is JsonObject json ? Read(json) : null;
        }
        catch (Exception thrown) when (thrown is JsonException or InvalidOperationException or FormatException or NullReferenceException or ArgumentException)
        {
            return null; // A line torn by a kill, or written by something else.
        }
    }

    private static RunEvent? Read(JsonObject json) => (string?)json["event"] switch
    {
        "start" => new RunStarted(
            (string)json["run"]!, (string)json["recipe"]!, Long(json, "parameters"), Long(json, "total_steps"), Long(json, "tokens_per_step"),
            Long(json, "step"), Number(json, "flops_per_token"), Number(json, "ceiling_flops"), (JsonObject)json["facts"]!.DeepClone()),
        "step" => new StepDone(
            Long(json, "step"), Long(json, "tokens"), Number(json, "loss"), Number(json, "gradient_norm"), Number(json, "rate"),
            Number(json, "seconds"), Long(json, "snapshot_lag")),
        "refused" => new StepRefused(
            Long(json, "step"), (string)json["reason"]!, (string)json["action"]!, [.. ((JsonArray)json["samples"]!).Select(id => (long)id!)]),
        "evaluation" => new EvaluationDone(
            Long(json, "step"), (string)json["task"]!, (string)json["weights"]!,
            ((JsonObject)json["metrics"]!).ToDictionary(pair => pair.Key, pair => (double?)pair.Value ?? double.NaN, StringComparer.Ordinal)),
        "samples" => new SamplesCommitted(Long(json, "step"), Long(json, "epoch"), [.. ((JsonArray)json["by_rank"]!).Select(ids => (IReadOnlyList<long>)[.. ((JsonArray)ids!).Select(id => (long)id!)])]),
        "recovered" => new Recovered(
            Long(json, "step"), Long(json, "epoch"), (int)Long(json, "before"), (int)Long(json, "after"), (string)json["reason"]!,
            new RecoveryPhases(Number(json, "detect_seconds"), Number(json, "agree_seconds"), Number(json, "group_seconds"), Number(json, "plan_seconds"), Number(json, "move_seconds"), Number(json, "replay_seconds")), (DateTimeOffset)json["at"]!),
        "sample" => new SampleWritten(Long(json, "step"), (string)json["prompt"]!, (string)json["text"]!),
        "checkpoint" => new CheckpointWritten(Long(json, "step"), (string)json["folder"]!, Long(json, "bytes"), Number(json, "seconds")) { Manager = (string?)json["manager"] },
        "mixture" => new MixtureMeasured(Long(json, "step"), [.. ((JsonArray)json["shares"]!).OfType<JsonObject>().Select(share =>
            new MixtureShare((string)share["source"]!, Number(share, "promised"), Number(share, "delivered"), Long(share, "tokens"), (double?)share["epochs"] ?? 0))]),
        "stage-texts" => new StageMeasured(
            Long(json, "step"), (int)Long(json, "stage"), (string)json["name"]!, Long(json, "stage_step"), (bool)json["is_end"]!, (bool)json["is_branch"]!, (string)json["own"]!, (string)json["weights"]!,
            [.. ((JsonObject)json["texts"]!).Select(text => new TextMeasured(text.Key, ((JsonObject)text.Value!).ToDictionary(pair => pair.Key, pair => (double?)pair.Value ?? double.NaN, StringComparer.Ordinal)))]),
        "stage" => new StageFinished(Long(json, "step"), (int)Long(json, "stage"), (string)json["name"]!, Long(json, "steps"), Long(json, "tokens"), Long(json, "fresh_tokens"), (string)json["folder"]!),
        "mixture-chosen" => new MixtureChosen(Long(json, "step"), Long(json, "from"), Numbers(json["weights"]!), json["losses"] is { } losses ? Numbers(losses) : null, Number(json, "entropy")),
        "graph" => new GraphLearned(Long(json, "step"), [.. json["graph"]!.AsArray().Select(row => Numbers(row!))], Long(json, "steps")),
        "notice" => new Notice((string)json["level"]!, (string)json["message"]!),
        "done" or "interrupted" => new RunFinished(new RunResult
        {
            Completed = (string)json["event"]! == "done",
            Step = Long(json, "step"),
            Tokens = Long(json, "tokens"),
            Loss = Number(json, "loss"),
            BitsPerByte = (double?)json["bits_per_byte"],
            TokensPerSecond = Number(json, "tokens_per_second"),
            Mfu = Number(json, "mfu"),
            StateHash = (string)json["state_hash"]!,
        }),
        _ => null,
    };

    private static IReadOnlyList<double> Numbers(JsonNode values) => [.. values.AsArray().Select(value => (double?)value ?? double.NaN)];

    private static long Long(JsonObject json, string name) => (long)json[name]!;

    private static double Number(JsonObject json, string name) => (double?)json[name] ?? double.NaN;
}
