using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using Perennial.Cli.Hosting;
using Perennial.Cli.Launch;
using Perennial.Core;
using Perennial.Core.Recipes;
using Perennial.Experiments.Measured;
using Perennial.Resilience.Groups;
using Perennial.Training.Parallel.Policies;

namespace Perennial.Cli.Commands.Bench;

/// <summary><c>perennial bench recovery</c>.</summary>
internal static class BenchRecoveryCommand
{
    private static readonly string[] Phases = ["detect", "agree", "group", "plan", "move", "replay"];

    public static Command Create(CommandContext context)
    {
        var workers = new Option<int>("--workers") { Description = "Processes.", DefaultValueFactory = _ => 4 };
        var faults = new Option<int>("--faults") { Description = "Faults of each run.", DefaultValueFactory = _ => 5 };
        var seed = new Option<int>("--seed") { Description = "Key of every draw.", DefaultValueFactory = _ => 1 };
        var folder = new Option<string?>("--folder") { Description = "Where the runs stay; by default a temporary folder that goes away." };
        var json = CommandExtensions.Json();
        return new Command("recovery", "Seconds from a kill to the next step and to new progress under every policy, by phases, against a restart from disk in the same call.") { workers, faults, seed, folder, json }.Does(parsed =>
        {
            if (parsed.GetValue(workers) is < 2 or > 16 || parsed.GetValue(faults) is < 1 or > 100 || parsed.GetValue(seed) < 0) throw PerennialException.Usage("--workers must be from 2 to 16, --faults from 1 to 100, --seed at least 0");
            GlooLibrary.Load();
            using var place = new BenchPlace(parsed.GetValue(folder), "recovery");
            var options = new RecoveryBenchOptions { Folder = place.Folder, Text = place.Text, Workers = parsed.GetValue(workers), Faults = parsed.GetValue(faults), Seed = (ulong)parsed.GetValue(seed) };
            var policies = context.Components.Kinds(typeof(ILossPolicy)).OrderByDescending(kind => kind == RecoveryBench.Baseline).ThenBy(kind => kind, StringComparer.Ordinal);
            RecoveryRow? baseline = null;
            foreach (var row in new RecoveryBench(options, ProgramCommand.Current(typeof(BenchRecoveryCommand).Assembly.Location), context.Cancellation).Rows(policies))
            {
                baseline ??= row;
                Write(context, row, baseline, parsed.GetValue(json));
            }
            return ExitCode.Done;
        });
    }

    private static void Write(CommandContext context, RecoveryRow row, RecoveryRow baseline, bool json)
    {
        if (json)
        {
            var line = new JsonObject { ["event"] = "bench", ["name"] = "recovery", ["row"] = row.Name, ["progress_over_restart"] = CommandExtensions.Number(row.Progress / baseline.Progress) };
            foreach (var (key, value) in row.Recovery) line[key] = value?.DeepClone();
            context.Out.WriteJson(line);
            return;
        }
        // What a recovery did not have (nothing is agreed on where all start again) is left out.
        var phases = string.Join(", ", Phases.Where(phase => row.Recovery.ContainsKey($"{phase}_seconds")).Select(phase => string.Create(CultureInfo.InvariantCulture, $"{phase} {(double)row.Recovery[$"{phase}_seconds"]! * 1000:F1}")));
        if (row.Recovery["ready_seconds"] is { } ready) phases = string.Create(CultureInfo.InvariantCulture, $"ready after {(double)ready * 1000:F0}");
        context.Out.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{row.Name,-24} {row.Step,6:F2} s to the next step, {row.Progress,6:F2} s to new progress ({baseline.Progress / row.Progress,5:F1} x sooner than {RecoveryBench.Baseline}); {phases} ms"));
    }
}
