using System.Text.Json;
using System.Text.Json.Nodes;
using Perennial.Core;
using Perennial.Evaluation.Events;
using Perennial.Training;

namespace Perennial.Experiments.Resilience;

/// <summary>What a finished launch left: its losses by step, and what <c>launch --json</c> said at its end.</summary>
internal sealed record Launched
{
    public const string FileName = "launched.json";

    public required IReadOnlyList<double> Losses { get; init; }

    public required string StateHash { get; init; }

    public required double BitsPerByte { get; init; }

    public required long Tokens { get; init; }

    public required long Parameters { get; init; }

    public required double FlopsPerToken { get; init; }

    public required int Faults { get; init; }

    public required int Recoveries { get; init; }

    public required long LostSamples { get; init; }

    public required int WrongSteps { get; init; }

    public required double FaultToStep { get; init; }

    public required double FaultToProgress { get; init; }

    public required double Agree { get; init; }

    public required double Group { get; init; }

    public required double Move { get; init; }

    /// <summary>From the run folder's events and the lines that the launcher wrote.</summary>
    public static Launched Read(string run, IReadOnlyList<string> lines)
    {
        var summary = (JsonObject)JsonNode.Parse(lines.Last(line => line.StartsWith("{\"event\":\"launched\"", StringComparison.Ordinal)))!;
        var (losses, recovery) = (new SortedDictionary<long, double>(), summary["recovery"] as JsonObject);
        RunStarted? started = null;
        RunResult? result = null;
        foreach (var happened in MetricsFile.Read(run))
        {
            if (happened is StepDone step) losses[step.Step] = step.Loss;
            started = happened as RunStarted ?? started;
            result = (happened as RunFinished)?.Result ?? result;
        }
        if (result is not { Completed: true } || started is null) throw PerennialException.Failed($"{run}: the launched run did not finish");
        return new()
        {
            Losses = [.. losses.Values], StateHash = result.StateHash, BitsPerByte = result.BitsPerByte ?? 0, Tokens = result.Tokens, Parameters = started.Parameters, FlopsPerToken = started.FlopsPerToken,
            Faults = (int)summary["faults"]!, LostSamples = (long)summary["lost_samples"]!, WrongSteps = ((JsonArray)summary["wrong_steps"]!).Count,
            Recoveries = (int?)recovery?["count"] ?? 0, FaultToStep = Number("fault_to_step_seconds"), FaultToProgress = Number("fault_to_progress_seconds"),
            Agree = Number("agree_seconds"), Group = Number("group_seconds"), Move = Number("move_seconds"),
        };

        double Number(string name) => (double?)recovery?[name] ?? 0;
    }

    public static Launched Load(string folder) => JsonSerializer.Deserialize<Launched>(File.ReadAllBytes(Path.Combine(folder, FileName)))!;

    public void Save(string folder) => AtomicFile.Write(Path.Combine(folder, FileName), stream => JsonSerializer.Serialize(stream, this));
}
