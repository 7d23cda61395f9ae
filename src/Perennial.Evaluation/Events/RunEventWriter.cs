using System.Buffers;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Perennial.Training;

namespace Perennial.Evaluation.Events;

/// <summary>
/// Events as JSON, one line each, the same in <c>metrics.jsonl</c> and on <c>train --json</c>. Numbers are invariant and
/// round-trip; a number that is not finite becomes <c>null</c>, since JSON has no word for it.
/// </summary>
public sealed class RunEventWriter
{
    private static readonly JsonWriterOptions Options = new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
    private readonly ArrayBufferWriter<byte> buffer = new();
    private RunStarted? started;

    /// <summary>One line, without its end. Throughput of steps is told relative to the last <see cref="RunStarted"/> seen.</summary>
    public string Line(RunEvent happened)
    {
        if (happened is RunStarted start) started = start;
        buffer.ResetWrittenCount();
        using (var json = new Utf8JsonWriter(buffer, Options))
        {
            json.WriteStartObject();
            Write(json, happened);
            json.WriteEndObject();
        }
        return Encoding.UTF8.GetString(buffer.WrittenSpan);
    }

    private void Write(Utf8JsonWriter json, RunEvent happened)
    {
        switch (happened)
        {
            case RunStarted e: Start(json, e); break;
            case StepDone e: Step(json, e); break;
            case StepRefused e:
                Head(json, "refused", e.Step);
                json.WriteString("reason", e.Reason);
                json.WriteString("action", e.Action);
                json.WriteStartArray("samples");
                foreach (var id in e.SampleIds) json.WriteNumberValue(id);
                json.WriteEndArray();
                break;
            case EvaluationDone e:
                Head(json, "evaluation", e.Step);
                json.WriteString("task", e.Task);
                json.WriteString("weights", e.Weights);
                json.WriteStartObject("metrics");
                foreach (var (name, value) in e.Metrics.OrderBy(pair => pair.Key, StringComparer.Ordinal)) Number(json, name, value);
                json.WriteEndObject();
                break;
            case SampleWritten e:
                Head(json, "sample", e.Step);
                json.WriteString("prompt", e.Prompt);
                json.WriteString("text", e.Text);
                break;
            case CheckpointWritten e:
                Head(json, "checkpoint", e.Step);
                json.WriteString("folder", e.Folder);
                json.WriteNumber("bytes", e.Bytes);
                Number(json, "seconds", e.Seconds);
                if (e.Manager is { } manager) json.WriteString("manager", manager);
                break;
            case MixtureMeasured e: Mixture(json, e); break;
            case StageMeasured e: Stage(json, e); break;
            case StageFinished e:
                Head(json, "stage", e.Step);
                json.WriteNumber("stage", e.Stage);
                json.WriteString("name", e.Name);
                json.WriteNumber("steps", e.Steps);
                json.WriteNumber("tokens", e.Tokens);
                json.WriteNumber("fresh_tokens", e.FreshTokens);
                json.WriteString("folder", e.Folder);
                break;
            case MixtureChosen e: Chosen(json, e); break;
            case GraphLearned e: Graph(json, e); break;
            case SamplesCommitted e: Samples(json, e); break;
            case Recovered e: Recovery(json, e); break;
            case Notice e:
                json.WriteString("event", "notice");
                json.WriteString("level", e.Level);
                json.WriteString("message", e.Message);
                break;
            case RunFinished e: Finish(json, e.Result); break;
            default: throw new ArgumentException($"no JSON form for {happened.GetType().Name}", nameof(happened));
        }
    }

    private static void Start(Utf8JsonWriter json, RunStarted e)
    {
        Head(json, "start", e.StartStep);
        json.WriteString("run", e.RunFolder);
        json.WriteNumber("parameters", e.Parameters);
        json.WriteNumber("total_steps", e.TotalSteps);
        json.WriteNumber("tokens_per_step", e.TokensPerStep);
        Number(json, "flops_per_token", e.FlopsPerToken);
        Number(json, "ceiling_flops", e.CeilingFlops);
        json.WriteString("recipe", e.RecipeYaml);
        json.WritePropertyName("facts");
        ((JsonNode)e.Facts).WriteTo(json);
    }

    private void Step(Utf8JsonWriter json, StepDone e)
    {
        Head(json, "step", e.Step);
        json.WriteNumber("tokens", e.Tokens);
        Number(json, "loss", e.Loss);
        Number(json, "gradient_norm", e.GradientNorm);
        Number(json, "rate", e.Rate);
        Number(json, "seconds", e.Seconds);
        if (started is not null)
        {
            Number(json, "tokens_per_second", Throughput.TokensPerSecond(started, e));
            Number(json, "mfu", Throughput.Mfu(started, e));
        }
        json.WriteNumber("snapshot_lag", e.SnapshotLag);
    }

    private static void Mixture(Utf8JsonWriter json, MixtureMeasured e)
    {
        Head(json, "mixture", e.Step);
        json.WriteStartArray("shares");
        foreach (var share in e.Shares)
        {
            json.WriteStartObject();
            json.WriteString("source", share.Source);
            Number(json, "promised", share.Promised);
            Number(json, "delivered", share.Delivered);
            json.WriteNumber("tokens", share.Tokens);
            Number(json, "epochs", share.Epochs);
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }

    private static void Stage(Utf8JsonWriter json, StageMeasured e)
    {
        Head(json, "stage-texts", e.Step);
        json.WriteNumber("stage", e.Stage);
        json.WriteString("name", e.Name);
        json.WriteNumber("stage_step", e.StageStep);
        json.WriteBoolean("is_end", e.IsEnd);
        json.WriteBoolean("is_branch", e.IsBranch);
        json.WriteString("own", e.Own);
        json.WriteString("weights", e.Weights);
        json.WriteStartObject("texts");
        foreach (var text in e.Texts)
        {
            json.WriteStartObject(text.Text);
            foreach (var (name, value) in text.Metrics.OrderBy(pair => pair.Key, StringComparer.Ordinal)) Number(json, name, value);
            json.WriteEndObject();
        }
        json.WriteEndObject();
    }

    private static void Chosen(Utf8JsonWriter json, MixtureChosen e)
    {
        Head(json, "mixture-chosen", e.Step);
        json.WriteNumber("from", e.From);
        Numbers(json, "weights", e.Weights);
        if (e.Losses is not null) Numbers(json, "losses", e.Losses);
        Number(json, "entropy", e.Entropy);
    }

    private static void Graph(Utf8JsonWriter json, GraphLearned e)
    {
        Head(json, "graph", e.Step);
        json.WriteNumber("steps", e.Steps);
        json.WriteStartArray("graph");
        foreach (var row in e.Graph) Numbers(json, null, row);
        json.WriteEndArray();
    }

    private static void Numbers(Utf8JsonWriter json, string? name, IReadOnlyList<double> values)
    {
        if (name is not null) json.WritePropertyName(name);
        json.WriteStartArray();
        foreach (var value in values)
        {
            if (double.IsFinite(value)) json.WriteNumberValue(value);
            else json.WriteNullValue();
        }
        json.WriteEndArray();
    }

    private static void Samples(Utf8JsonWriter json, SamplesCommitted e)
    {
        Head(json, "samples", e.Step);
        json.WriteNumber("epoch", e.Epoch);
        json.WriteStartArray("by_rank");
        foreach (var ids in e.ByRank)
        {
            json.WriteStartArray();
            foreach (var id in ids) json.WriteNumberValue(id);
            json.WriteEndArray();
        }
        json.WriteEndArray();
    }

    private static void Recovery(Utf8JsonWriter json, Recovered e)
    {
        Head(json, "recovered", e.Step);
        json.WriteNumber("epoch", e.Epoch);
        json.WriteNumber("before", e.Before);
        json.WriteNumber("after", e.After);
        json.WriteString("reason", e.Reason);
        Number(json, "detect_seconds", e.Phases.Detect);
        Number(json, "agree_seconds", e.Phases.Agree);
        Number(json, "group_seconds", e.Phases.Group);
        Number(json, "plan_seconds", e.Phases.Plan);
        Number(json, "move_seconds", e.Phases.Move);
        Number(json, "replay_seconds", e.Phases.Replay);
        json.WriteString("at", e.At);
    }

    private static void Finish(Utf8JsonWriter json, RunResult result)
    {
        Head(json, result.Completed ? "done" : "interrupted", result.Step);
        json.WriteNumber("tokens", result.Tokens);
        Number(json, "loss", result.Loss);
        Number(json, "bits_per_byte", result.BitsPerByte ?? double.NaN);
        Number(json, "tokens_per_second", result.TokensPerSecond);
        Number(json, "mfu", result.Mfu);
        json.WriteString("state_hash", result.StateHash);
    }

    private static void Head(Utf8JsonWriter json, string name, long step)
    {
        json.WriteString("event", name);
        json.WriteNumber("step", step);
    }

    private static void Number(Utf8JsonWriter json, string name, double value)
    {
        if (double.IsFinite(value)) json.WriteNumber(name, value);
        else json.WriteNull(name);
    }
}
