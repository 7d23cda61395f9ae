using System.CommandLine;
using System.Text.Json.Nodes;
using Perennial.Cli.Hosting;
using Perennial.Cli.Launch;
using Perennial.Cli.Progress;
using Perennial.Core;
using Perennial.Data.Preparation;
using Perennial.Data.Streams;
using Perennial.Evaluation.Events;
using Perennial.Membership;
using Perennial.Resilience.Chaos;
using Perennial.Resilience.Groups;
using Perennial.Training;
using Perennial.Training.Recipes;
using Perennial.Training.Runs;
using Spectre.Console;

namespace Perennial.Cli.Commands;

/// <summary><c>perennial launch</c>.</summary>
internal static class LaunchCommand
{
    public static Command Create(CommandContext context)
    {
        var recipe = new Argument<string>("RECIPE") { Description = "A recipe file." };
        var workers = new Option<int>("--workers") { Description = "Processes that train together on this machine.", Required = true };
        var run = new Option<string?>("--run") { Description = "The run's folder; runs/NAME by default. Running again on the same folder resumes." };
        var fresh = new Option<bool>("--fresh") { Description = "Start over, removing what an earlier run left in the folder." };
        var chaos = new Option<string?>("--chaos") { Description = "Make faults on purpose: kill=15s, hang=20s, pair=3 (every third hits two), for=2s, seed=1, most=10; separated by commas." };
        var respawn = new Option<double>("--respawn") { Description = "Seconds after which a dead worker's place is taken by a new one; negative: never.", DefaultValueFactory = _ => 1 };
        var store = new Option<string?>("--store") { Description = "A store of your own: redis://host:port?password=SECRET. By default one inside this process." };
        var (set, json) = (CommandExtensions.Set(), CommandExtensions.Json());
        return new Command("launch", "Train a recipe with several processes on this machine; training goes on with whoever is left.") { recipe, workers, set, run, fresh, chaos, respawn, store, json }.Does(parsed =>
        {
            var count = parsed.GetValue(workers);
            if (count is < 1 or > 1024) throw PerennialException.Usage("--workers must be from 1 to 1024");
            var path = parsed.GetRequiredValue(recipe);
            var bound = new RecipeLoader(context.Components).Load(path, parsed.GetValue(set));
            if (count > bound.Training.Batch) throw PerennialException.Usage($"--workers {count}: a step has {bound.Training.Batch} windows (training.batch); take at most as many workers");
            var plan = parsed.GetValue(chaos) is { } text ? ChaosPlan.Parse(text) : null;
            var folder = new RunFolder(parsed.GetValue(run) ?? Path.Combine("runs", bound.Name));
            GlooLibrary.Load();
            using var turn = folder.Open();
            if (parsed.GetValue(fresh)) folder.Clear();
            using var data = RunSamples.Prepare(bound, context.Error.WriteLine, context.Cancellation);
            using var embedded = parsed.GetValue(store) is null ? EmbeddedStore.Start() : null;
            var address = embedded?.Address ?? StoreAddress.Parse(parsed.GetValue(store)!);
            var restarts = bound.Resilience.Policy.Create().Restarts;
            // A restart is from disk: nothing is kept in memory for it.
            var manager = bound.Resilience.Snapshot.Amount > 0 && !restarts ? SnapshotHostCommand.Ensure(folder.SnapshotId()) : null;
            List<string> arguments = ["train", path, "--run", folder.Path, "--json"];
            foreach (var assignment in parsed.GetValue(set) ?? []) arguments.AddRange(["--set", assignment]);
            if (bound.Training.Threads is null) arguments.AddRange(["--set", $"training.threads={Math.Max(1, Environment.ProcessorCount / count)}"]);
            var options = new LauncherOptions
            {
                Workers = count, Arguments = arguments, Chaos = plan, RestartAll = restarts, Respawn = parsed.GetValue(respawn) < 0 ? null : TimeSpan.FromSeconds(parsed.GetValue(respawn)),
                Variables = new Dictionary<string, string>(StringComparer.Ordinal)
                {
                    [WorkerGroup.StoreVariable] = address.ToSecretString(), [WorkerGroup.RunVariable] = $"{bound.Name}-{Guid.NewGuid():N}",
                    [WorkerGroup.SnapshotVariable] = manager?.ToString() ?? "", [WorkerGroup.SnapshotRunVariable] = $"{folder.SnapshotId()}",
                    ["MASTER_ADDR"] = address.Host, ["MASTER_PORT"] = $"{address.Port}",
                },
            };
            return Launch(context, bound, data, folder.Path, options, parsed.GetValue(json));
        });
    }

    private static ExitCode Launch(CommandContext context, Recipe recipe, PreparedData data, string folder, LauncherOptions options, bool json)
    {
        var console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(context.Error) });
        using var progress = new ConsoleProgress(console, live: !json && ConsoleProgress.IsLive(console));
        var (watch, gate, last) = (new LaunchWatch(options.RestartAll), new Lock(), (RunResult?)null);
        var log = new RecoveryLog($"{recipe.Name}, {recipe.Resilience.Policy.Kind}, seed {recipe.Seed}", recipe.Resilience.Policy.Kind, options.Workers);
        Launcher? launcher = null;
        void Line(string line)
        {
            lock (gate)
            {
                if (!line.StartsWith('{') || RunEventReader.Read(line) is not { } happened) return;
                watch.OnEvent(happened);
                log.OnEvent(happened);
                if (happened is SamplesCommitted samples) launcher!.Stepped(samples.ByRank.Count);
                if (happened is RunFinished finished) last = finished.Result;
                if (json) context.Out.WriteLine(line);
                else progress.Observe(happened);
            }
        }
        void Fault(ChaosFault fault, IReadOnlyList<WorkerProcess> victims)
        {
            lock (gate)
            {
                watch.OnFault();
                log.OnFault([.. victims.Select(victim => victim.Number)]);
                context.Error.WriteLine($"chaos: {fault.Kind.ToString().ToLowerInvariant()} {string.Join(" and ", victims)}");
                if (json) context.Out.WriteJson(new JsonObject { ["event"] = "chaos", ["kind"] = fault.Kind.ToString().ToLowerInvariant(), ["workers"] = new JsonArray([.. victims.Select(victim => (JsonNode)victim.Number)]), ["at"] = DateTimeOffset.UtcNow });
            }
        }
        launcher = new Launcher(options, Line, context.Error.WriteLine, Fault);
        var code = launcher.Run(context.Cancellation);
        log.Write(folder);
        Summarize(context, recipe, data, folder, watch, last, json);
        return code;
    }

    private static void Summarize(CommandContext context, Recipe recipe, PreparedData data, string folder, LaunchWatch watch, RunResult? last, bool json)
    {
        if (last is null) return;
        var stream = RunSamples.Of(recipe, data, folder);
        var audit = SampleAudit.Of(SampleAudit.Recorded(folder), number => stream.Read(number * recipe.Training.Batch, recipe.Training.Batch).SampleIds);
        context.Error.WriteLine(audit);
        if (watch.Recovery() is { } recovery)
            context.Error.WriteLine($"recoveries: {recovery["count"]}, median {(double)recovery["fault_to_step_seconds"]!:F2} s from fault to next step, {(double)recovery["fault_to_progress_seconds"]!:F2} s to new progress (detect {Milliseconds("detect")}, agree {Milliseconds("agree")}, group {Milliseconds("group")}, plan {Milliseconds("plan")}, move {Milliseconds("move")}, replay {Milliseconds("replay")} ms)");
        string Milliseconds(string phase) => $"{(double)watch.Recovery()![$"{phase}_seconds"]! * 1000:F1}";
        if (!json) return;
        context.Out.WriteJson(new JsonObject
        {
            ["event"] = "launched", ["faults"] = watch.Faults, ["audited_steps"] = audit.Steps, ["audited_samples"] = audit.Samples, ["lost_samples"] = audit.Lost, ["refused_batches"] = audit.Refused, ["wrong_steps"] = new JsonArray([.. audit.Wrong.Select(step => (JsonNode)step)]),
            ["recovery"] = watch.Recovery(),
        });
        // The contract's last line.
        context.Out.WriteLine(new RunEventWriter().Line(new RunFinished(last)));
    }
}
