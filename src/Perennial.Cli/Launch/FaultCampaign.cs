using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Perennial.Core;

namespace Perennial.Cli.Launch;

/// <summary>What a campaign of random faults is asked for.</summary>
internal sealed record CampaignOptions
{
    /// <summary>Faults in all.</summary>
    public required int Count { get; init; }

    /// <summary>Key of every draw.</summary>
    public required ulong Seed { get; init; }

    /// <summary>Where the runs are.</summary>
    public required string Folder { get; init; }

    /// <summary>A text to train on.</summary>
    public required string Text { get; init; }

    /// <summary>Processes, each on a node of its own.</summary>
    public int Workers { get; init; } = 4;

    /// <summary>The recipe's <c>parallel:</c>, as its YAML has it; null for replicas.</summary>
    public string? Parallel { get; init; }

    /// <summary>Faults of one run.</summary>
    public int FaultsPerRun { get; init; } = 25;

    /// <summary>Steps of one run.</summary>
    public int Steps { get; init; } = 1500;

    /// <summary>Mean time between faults.</summary>
    public TimeSpan Every { get; init; } = TimeSpan.FromSeconds(1.5);

    /// <summary>A run that says nothing for so long hangs.</summary>
    public TimeSpan Silence { get; init; } = TimeSpan.FromSeconds(90);
}

/// <summary>One run of a campaign.</summary>
/// <param name="Number">Its number, from 1.</param>
/// <param name="Faults">Faults that were made, by kind.</param>
/// <param name="Answers">How training went on, by kind: <c>recovered</c> in place, from <c>memory</c>, from <c>parity</c>, from <c>disk</c>, <c>again</c> from the beginning.</param>
/// <param name="Unexplained">Faults that interrupt after which nothing was said before the next one, though steps were not simply going on.</param>
/// <param name="Hung">Whether it went silent.</param>
/// <param name="Restarts">Times it ended with an error that it explained and was started again.</param>
/// <param name="WrongSteps">Steps whose samples were not the stream's.</param>
/// <param name="Hash">The hash of its final state; null where it never came to its end.</param>
/// <param name="Deviation">The largest relative difference of a step's loss from the undisturbed run's; infinite where a step was never told of.</param>
/// <param name="Seconds">Time taken.</param>
internal sealed record CampaignRun(int Number, IReadOnlyDictionary<string, int> Faults, IReadOnlyDictionary<string, int> Answers, IReadOnlyList<string> Unexplained, bool Hung, int Restarts, int WrongSteps, string? Hash, double Deviation, double Seconds);

/// <summary>The undisturbed run.</summary>
/// <param name="Hash">The hash of its final state.</param>
/// <param name="Losses">Its losses by step.</param>
internal sealed record CampaignTruth(string Hash, IReadOnlyDictionary<long, double> Losses);

/// <summary>
/// Trains one small recipe again and again under random faults of all kinds and holds the final state to that of one process that was never
/// disturbed: with <c>training.sums: exact</c> a step's bits do not depend on who is there, so every final hash must be that one. Under a parallel shape sums
/// are rounded in another order while the shape is another one: there every step's loss must be that of the same launch undisturbed, but for rounding.
/// </summary>
internal sealed class FaultCampaign(CampaignOptions options, Action<string> say, CancellationToken cancellation)
{
    private static readonly string[] Interrupting = ["kill", "stop", "all", "node", "outage", "drop"];

    // Rounding came to less than a thousandth of this in 22 faults over 700 steps; one that a longer run makes of it is told, and to be judged by a person.
    private const double Rounding = 1e-4;

    private CampaignTruth? truth;

    /// <summary>The undisturbed run.</summary>
    /// <exception cref="PerennialException">Exit 1: even that one fails.</exception>
    public CampaignTruth Reference()
    {
        List<string> arguments = options.Parallel is null ? ["train", Recipe()] : ["launch", Recipe(), "--workers", Text(options.Workers), "--nodes", Text(options.Workers)];
        var (code, lines, errors, _) = Run([.. arguments, "--run", Path.Combine(options.Folder, "alone"), "--json"]);
        return code == 0 && Hash(lines) is { } hash ? truth = new(hash, Losses(lines).ToDictionary(step => step.Key, step => step.Last())) : throw PerennialException.Failed($"the undisturbed run ended with code {code}: {string.Join(' ', errors.TakeLast(3))}");
    }

    /// <summary>Whether a run ended in another state than the undisturbed one, and nothing said so.</summary>
    public bool Diverges(CampaignRun run) => run.Hash is not null && run.Hash != truth!.Hash && (options.Parallel is null || !(run.Deviation <= Rounding));

    /// <summary>Runs under faults until enough were made.</summary>
    public IEnumerable<CampaignRun> Runs()
    {
        for (var (number, made) = (1, 0); made < options.Count; number++)
        {
            cancellation.ThrowIfCancellationRequested();
            var run = Disturbed(number, Math.Min(options.FaultsPerRun, options.Count - made));
            made += run.Faults.Values.Sum();
            yield return run;
            if (run.Faults.Count == 0) throw PerennialException.Failed($"run {number} of the campaign saw no fault: it is too short");
        }
    }

    private CampaignRun Disturbed(int number, int faults)
    {
        var (clock, lines, restarts, hung, code) = (Stopwatch.GetTimestamp(), new List<JsonObject>(), 0, false, -1);
        var folder = Path.Combine(options.Folder, $"run-{number}");
        // Every other run loses two nodes at a time, which its parity tolerates; every fifth loses three, which it does not.
        var nodes = number % 5 == 0 ? 3 : number % 2 == 0 ? 2 : 1;
        while (code != 0 && !hung && restarts < 4)
        {
            var left = faults - Count(lines, "chaos");
            List<string> arguments = ["launch", Recipe(), "--workers", Text(options.Workers), "--nodes", Text(options.Workers), "--run", folder, "--json"];
            if (left > 0) arguments.AddRange(["--chaos", string.Create(CultureInfo.InvariantCulture, $"any={options.Every.TotalMilliseconds:0}ms,for=1s,nodes={Math.Min(nodes, options.Workers - 1)},seed={options.Seed * 1000 + (ulong)(number * 10 + restarts)},most={left}")]);
            (code, var told, var errors, hung) = Run(arguments);
            lines.AddRange(told);
            if (code == 0 || hung) break;
            restarts++;
            say($"run {number} ended with code {code} and is started again: {string.Join(' ', errors.TakeLast(8))}");
        }
        var launched = lines.LastOrDefault(line => (string?)line["event"] == "launched");
        return new(number, Kinds(lines), Answers(lines), Unexplained(lines), hung, restarts, (launched?["wrong_steps"] as JsonArray)?.Count ?? 0, code == 0 ? Hash(lines) : null, Deviation(lines), Stopwatch.GetElapsedTime(clock).TotalSeconds);
    }

    private double Deviation(List<JsonObject> lines)
    {
        var seen = Losses(lines);
        return truth!.Losses.Max(step => seen[step.Key].Select(loss => Math.Abs(loss - step.Value) / step.Value).DefaultIfEmpty(double.PositiveInfinity).Max());
    }

    private static ILookup<long, double> Losses(IEnumerable<JsonObject> lines) => lines.Where(line => (string?)line["event"] == "step").ToLookup(line => (long)line["step"]!, line => (double)line["loss"]!);

    private static int Count(IEnumerable<JsonObject> lines, string kind) => lines.Count(line => (string?)line["event"] == kind);

    private static Dictionary<string, int> Kinds(IEnumerable<JsonObject> lines) =>
        lines.Where(line => (string?)line["event"] == "chaos").GroupBy(line => (string)line["kind"]!).OrderBy(same => same.Key, StringComparer.Ordinal).ToDictionary(same => same.Key, same => same.Count());

    private static Dictionary<string, int> Answers(IEnumerable<JsonObject> lines) =>
        lines.SkipWhile(line => (string?)line["event"] != "chaos").Select(Answer).OfType<string>().GroupBy(answer => answer).OrderBy(same => same.Key, StringComparer.Ordinal).ToDictionary(same => same.Key, same => same.Count());

    /// <summary>How an event says that training goes on after a fault; null where it says nothing of it.</summary>
    private static string? Answer(JsonObject line)
    {
        if ((string?)line["event"] == "recovered") return "recovered";
        if ((string?)line["event"] != "notice" || (string?)line["message"] is not { } text) return null;
        if (text.StartsWith("resuming from memory", StringComparison.Ordinal)) return text.Contains("from parity", StringComparison.Ordinal) ? "parity" : "memory";
        if (text.StartsWith("resuming from", StringComparison.Ordinal)) return "disk";
        // Where all were lost before anything was saved, a fixed shape says so in these words.
        if (text.Contains("starting over", StringComparison.Ordinal) || text == "from the beginning") return "again";
        return text.StartsWith("membership", StringComparison.Ordinal) ? "regrouped" : null;
    }

    /// <summary>
    /// Faults after which a session began anew and nothing said how it goes on. A fault that changed nothing (its victim had not joined yet)
    /// needs no word.
    /// </summary>
    private static List<string> Unexplained(List<JsonObject> lines)
    {
        var (unexplained, since, begun, answered) = (new List<string>(), "", false, true);
        foreach (var line in lines)
        {
            switch ((string?)line["event"])
            {
                case "chaos" when Interrupting.Contains((string?)line["kind"] ?? ""):
                    if (begun && !answered) unexplained.Add(since);
                    (since, begun, answered) = ($"{line["kind"]} {line["victims"]}", false, false);
                    break;
                case "start":
                    begun = true;
                    break;
                default:
                    answered |= Answer(line) is not null;
                    break;
            }
        }
        if (begun && !answered) unexplained.Add(since);
        return unexplained;
    }

    private static string? Hash(IEnumerable<JsonObject> lines) => (string?)lines.LastOrDefault(line => (string?)line["event"] == "done")?["state_hash"];

    private (int Code, List<JsonObject> Lines, List<string> Errors, bool Hung) Run(IReadOnlyList<string> arguments)
    {
        // Waits of this process, and not the clock: a machine that was suspended is no run that hangs.
        var (lines, errors, gate, silent, tick) = (new List<JsonObject>(), new List<string>(), new Lock(), 0, TimeSpan.FromMilliseconds(50));
        using var process = WorkerProcess.Start(0, arguments, new Dictionary<string, string>(StringComparer.Ordinal), text =>
        {
            Volatile.Write(ref silent, 0);
            lock (gate) if (Parse(text) is { } json) lines.Add(json);
        }, text =>
        {
            Volatile.Write(ref silent, 0);
            lock (gate) errors.Add(text);
        });
        while (!process.Wait(tick))
        {
            if (Interlocked.Increment(ref silent) * tick > options.Silence || cancellation.IsCancellationRequested)
            {
                // Asked politely first: a launcher that is killed leaves its workers behind.
                process.Ask();
                process.Wait(TimeSpan.FromSeconds(10));
                cancellation.ThrowIfCancellationRequested();
                return (-1, lines, errors, true);
            }
        }
        process.Wait();
        lock (gate) return (process.ExitCode, lines, errors, false);
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

    private string Recipe()
    {
        var path = Path.Combine(options.Folder, "recipe.yaml");
        if (File.Exists(path)) return path;
        File.WriteAllText(path, $$"""
            name: faults
            data:
              sources: [{ path: {{options.Text}} }]
              tokenizer: { kind: bpe, vocabulary: 320 }
              cache: {{Path.Combine(options.Folder, "cache")}}
            model: { kind: llama, layers: {{(options.Parallel is null ? 1 : 4)}}, width: 32, heads: 2, context: 32 }
            schedule: { kind: constant }
            training: { steps: {{options.Steps}}, batch: {{(options.Parallel is null ? 8 : 12)}}, micro-batch: 1, sums: {{(options.Parallel is null ? "exact" : "fast")}}, precision: float32, threads: 1 }
            practices: [{{(options.Parallel?.Contains("zero: 3", StringComparison.Ordinal) == true ? "" : "{ kind: ema, decay: 0.99 }")}}]
            {{(options.Parallel is null ? "" : $"parallel: {options.Parallel}")}}
            resilience: { parity: rs(+2), checkpoint: 100 steps, keep: 3 }
            evaluation: { every: 0 steps, tasks: [], prompts: [] }
            """);
        return path;
    }

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
