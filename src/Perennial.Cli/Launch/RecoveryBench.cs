using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Perennial.Core;
using Perennial.Experiments.Measured;

namespace Perennial.Cli.Launch;

/// <summary>What a comparison of recoveries is asked for.</summary>
internal sealed record RecoveryBenchOptions
{
    /// <summary>Where the runs are.</summary>
    public required string Folder { get; init; }

    /// <summary>A text to train on.</summary>
    public required string Text { get; init; }

    /// <summary>Processes.</summary>
    public required int Workers { get; init; }

    /// <summary>Faults of each run.</summary>
    public required int Faults { get; init; }

    /// <summary>Key of every draw.</summary>
    public required ulong Seed { get; init; }
}

/// <summary>Recoveries of one kind, as a launch measured them.</summary>
/// <param name="Name">What was lost, and the policy.</param>
/// <param name="Recovery">What <c>launch --json</c> says of its recoveries: medians in seconds.</param>
internal sealed record RecoveryRow(string Name, JsonObject Recovery)
{
    /// <summary>Median seconds to the first step that had not been committed before the fault.</summary>
    public double Progress => (double)Recovery["fault_to_progress_seconds"]!;

    /// <summary>Median seconds from fault to the next committed step.</summary>
    public double Step => (double)Recovery["fault_to_step_seconds"]!;
}

/// <summary>
/// Launches one small recipe again and again, with the same faults at the same steps each time: one worker killed under each policy, and all workers killed with
/// the state in memory. What a restart from disk costs is measured in the same way, in the same call.
/// </summary>
internal sealed class RecoveryBench(RecoveryBenchOptions options, ProgramCommand program, CancellationToken cancellation)
{
    /// <summary>The policy that all are compared with.</summary>
    public const string Baseline = "restart";

    // Every fault meets a run that has recovered from the one before, 30 steps after its newest checkpoint.
    private const int StepsEach = 150;

    /// <summary>The rows, as they are measured.</summary>
    /// <param name="policies">Policies to compare; the baseline first.</param>
    public IEnumerable<RecoveryRow> Rows(IEnumerable<string> policies)
    {
        foreach (var policy in policies) yield return Launch(policy, $"one of {options.Workers}, {policy}", "kill");
        yield return Launch("elastic", $"all {options.Workers}, from memory", "all");
    }

    private RecoveryRow Launch(string policy, string name, string fault)
    {
        var run = Path.Combine(options.Folder, $"{fault}-{policy}");
        List<string> arguments =
        [
            "launch", Recipe(), "--workers", Number(options.Workers), "--run", run, "--fresh", "--json", "--respawn", "0.2", "--set", $"resilience.policy={policy}",
            "--chaos", string.Create(CultureInfo.InvariantCulture, $"{string.Join(',', Enumerable.Range(0, options.Faults).Select(number => $"{fault}=@{StepsEach * number + StepsEach / 2 + 5}"))},seed={options.Seed}"),
        ];
        var result = program.Run(arguments, TimeSpan.FromMinutes(10), cancellation);
        if (result.ExitCode != 0) throw PerennialException.Failed($"{name}: the launch ended with code {result.ExitCode}: {string.Join(" | ", result.Errors.TakeLast(3))}");
        var told = result.Output.Select(Parse).OfType<JsonObject>().LastOrDefault(line => (string?)line["event"] == "launched");
        if (told?["recovery"] is not JsonObject recovery) throw PerennialException.Failed($"{name}: the launch saw no recovery");
        if (told["wrong_steps"] is JsonArray { Count: > 0 }) throw PerennialException.Failed($"{name}: steps took samples that the stream does not hold for them; please report this");
        return new(name, recovery);
    }

    private string Recipe()
    {
        var path = Path.Combine(options.Folder, "recipe.yaml");
        if (File.Exists(path)) return path;
        File.WriteAllText(path, $$"""
            name: recovery
            data:
              sources: [{ path: {{options.Text}} }]
              tokenizer: { kind: bpe, vocabulary: 320 }
              cache: {{Path.Combine(options.Folder, "cache")}}
            model: { kind: llama, layers: 2, width: 64, heads: 4, context: 64 }
            schedule: { kind: constant }
            training: { steps: {{StepsEach * options.Faults}}, batch: 16, micro-batch: 2, sums: exact, precision: float32, threads: 1 }
            resilience: { checkpoint: 50 steps, keep: 2 }
            evaluation: { every: 0 steps, tasks: [], prompts: [] }
            """);
        return path;
    }

    private static JsonObject? Parse(string text)
    {
        try
        {
            return JsonNode.Parse(text) as JsonObject;
        }
        catch (JsonException)
        {
            // Not a line of this program's.
            return null;
        }
    }

    private static string Number(int number) => number.ToString(CultureInfo.InvariantCulture);
}
