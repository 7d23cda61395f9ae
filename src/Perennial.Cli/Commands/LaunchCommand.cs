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
using Perennial.Resilience;
using Perennial.Resilience.Chaos;
using Perennial.Resilience.Groups;
using Perennial.Resilience.Snapshots;
using Perennial.Resilience.Survival;
using Perennial.Training;
using Perennial.Training.Parallel;
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
        var nodes = new Option<int>("--nodes") { Description = "Nodes that the workers are spread over, each with a snapshot manager of its own; several on one machine are as many machines to each other.", DefaultValueFactory = _ => 1 };
        var run = new Option<string?>("--run") { Description = "The run's folder; runs/NAME by default. Running again on the same folder resumes." };
        var fresh = new Option<bool>("--fresh") { Description = "Start over, removing what an earlier run left in the folder." };
        var chaos = new Option<string?>("--chaos") { Description = "Make faults on purpose, each kind with the mean time between two (kill=15s) or once at a step (kill=@40): kill, stop, all, node, outage, manager, slow, drop, full, flip, or any; pair=3 (every third hits two workers), nodes=2, for=2s, seed=1, most=10; separated by commas." };
        var respawn = new Option<double>("--respawn") { Description = "Seconds after which a dead worker's place is taken by a new one; negative: never.", DefaultValueFactory = _ => 1 };
        var store = new Option<string?>("--store") { Description = "A store of your own: redis://host:port?password=SECRET. By default one inside this process." };
        var (set, json) = (CommandExtensions.Set(), CommandExtensions.Json());
        return new Command("launch", "Train a recipe with several processes on this machine; training goes on with whoever is left.") { recipe, workers, nodes, set, run, fresh, chaos, respawn, store, json }.Does(parsed =>
        {
            var count = parsed.GetValue(workers);
            if (count is < 1 or > 1024) throw PerennialException.Usage("--workers must be from 1 to 1024");
            var path = parsed.GetRequiredValue(recipe);
            var bound = new RecipeLoader(context.Components).Load(path, parsed.GetValue(set));
            ParallelPlace.RequireWorkers(bound, count, $"--workers {count}");
            if (bound.Parallel is not { IsFixed: true } && count > bound.Training.Batch) throw PerennialException.Usage($"--workers {count}: a step has {bound.Training.Batch} windows (training.batch); take at most as many workers");
            var places = parsed.GetValue(nodes);
            if (places < 1 || places > count) throw PerennialException.Usage($"--nodes {places}: every node needs a worker, so from 1 to {count}");
            var parity = Parity(bound.Resilience, places, context.Error.WriteLine);
            var plan = parsed.GetValue(chaos) is { } text ? ChaosPlan.Parse(text) : null;
            var restarts = bound.Resilience.Policy.Create().Restarts;
            // A restart is from disk: nothing is kept in memory for it.
            var keeps = bound.Resilience.Snapshot.IsOn && !restarts;
            if (plan?.WhyNever(count, keeps ? places : 0) is { } never) throw PerennialException.Usage($"--chaos {parsed.GetValue(chaos)}: {never}");
            var folder = new RunFolder(parsed.GetValue(run) ?? Path.Combine("runs", bound.Name));
            GlooLibrary.Load();
            using var turn = folder.Open();
            if (parsed.GetValue(fresh)) folder.Clear();
            using var data = RunSamples.Prepare(bound, context.Error.WriteLine, context.Cancellation);
            using var embedded = parsed.GetValue(store) is null ? EmbeddedStore.Start() : null;
            var address = embedded?.Address ?? StoreAddress.Parse(parsed.GetValue(store)!);
            IReadOnlyList<NodeManager> managers = keeps ? [.. Enumerable.Range(0, places).Select(node => new NodeManager(folder.SnapshotId(), $"node{node}"))] : [];
            foreach (var manager in managers) manager.Start();
            foreach (var manager in managers) manager.Await(TimeSpan.FromSeconds(30));
            List<string> arguments = ["train", path, "--run", folder.Path, "--json"];
            foreach (var assignment in parsed.GetValue(set) ?? []) arguments.AddRange(["--set", assignment]);
            if (bound.Training.Threads is null) arguments.AddRange(["--set", $"training.threads={Math.Max(1, Environment.ProcessorCount / count)}"]);
            var options = new LauncherOptions
            {
                Workers = count, Nodes = managers, Folder = folder.Path, Arguments = arguments, Chaos = plan, RestartAll = restarts, Respawn = parsed.GetValue(respawn) < 0 ? null : TimeSpan.FromSeconds(parsed.GetValue(respawn)),
                Variables = new Dictionary<string, string>(StringComparer.Ordinal)
                {
                    [WorkerGroup.StoreVariable] = address.ToSecretString(), [WorkerGroup.RunVariable] = $"{bound.Name}-{Guid.NewGuid():N}",
                    [WorkerGroup.SnapshotVariable] = string.Join(' ', managers.Select(manager => $"{manager.Node}={manager.Endpoint}")), [WorkerGroup.ParityVariable] = $"{parity}", [WorkerGroup.SnapshotRunVariable] = $"{folder.SnapshotId()}",
                    ["MASTER_ADDR"] = address.Host, ["MASTER_PORT"] = $"{address.Port}",
                },
            };
            var (code, last) = Launch(context, bound, data, folder.Path, options, parsed.GetValue(json));
            // What is on the disk to the last step needs no memory; what is not stays there for the next launch.
            var isSaved = code == ExitCode.Done || (code == ExitCode.Interrupted && new CheckpointStore(Path.Combine(folder.Path, "checkpoints")).List().Any(entry => entry.Step == last));
            foreach (var manager in managers)
            {
                if (isSaved) manager.Retire();
                manager.Dispose();
            }
            return code;
        });
    }

    private static ParityChoice Parity(ResilienceOptions options, int nodes, Action<string> say)
    {
        if (!options.Snapshot.IsOn) return ParityChoice.None;
        if (ParityChoice.Parse(options.Parity) is { } wanted)
            return wanted.LeastNodes <= nodes || wanted == ParityChoice.Xor ? wanted : throw PerennialException.Usage($"resilience.parity: {wanted} needs {wanted.LeastNodes} nodes, there {(nodes == 1 ? "is" : "are")} {nodes} (--nodes)");
        var advice = ParityAdvice.For(nodes, options.NodeFailures);
        if (nodes > 1) foreach (var line in advice.Lines) say(line);
        return advice.Choice;
    }

    /// <returns>How it ended, and the last step where training came to an end of its own.</returns>
    private static (ExitCode Code, long? Last) Launch(CommandContext context, Recipe recipe, PreparedData data, string folder, LauncherOptions options, bool json)
    {
        var console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(context.Error) });
        using var progress = new ConsoleProgress(console, live: !json && ConsoleProgress.IsLive(console));
        var (watch, gate, first, last) = (new LaunchWatch(options.RestartAll), new Lock(), (long?)null, (RunResult?)null);
        var log = new RecoveryLog($"{recipe.Name}, {Path.GetFileName(Path.TrimEndingDirectorySeparator(folder))}", recipe.Resilience.Policy.Kind, options.Workers);
        Launcher? launcher = null;
        var present = options.Workers;
        void Line(string line)
        {
            lock (gate)
            {
                if (!line.StartsWith('{') || RunEventReader.Read(line) is not { } happened) return;
                watch.OnEvent(happened);
                log.OnEvent(happened);
                // Under a fixed shape only data ranks have samples of their own: how many are there is told with every change.
                present = happened switch { RunStarted => options.Workers, Recovered recovered => recovered.After, _ => present };
                if (happened is SamplesCommitted samples) launcher!.Stepped(samples.Step, recipe.Parallel is { IsFixed: true } ? present : samples.ByRank.Count);
                if (happened is RunStarted started) first ??= started.StartStep;
                if (happened is RunFinished finished) last = finished.Result;
                if (json) context.Out.WriteLine(line);
                else progress.Observe(happened);
            }
        }
        void Fault(ChaosFault fault, FaultMade made)
        {
            lock (gate)
            {
                var interrupts = fault.Kind is not (ChaosKind.Manager or ChaosKind.Slow or ChaosKind.Full or ChaosKind.Flip);
                watch.OnFault(interrupts, fault.Kind is ChaosKind.All or ChaosKind.Outage);
                if (interrupts) log.OnFault(made.Workers);
                context.Error.WriteLine($"chaos: {ChaosPlan.Word(fault.Kind)} {made.Text}");
                if (json) context.Out.WriteJson(new JsonObject { ["event"] = "chaos", ["kind"] = ChaosPlan.Word(fault.Kind), ["victims"] = made.Text, ["workers"] = new JsonArray([.. made.Workers.Select(number => (JsonNode)number)]), ["at"] = DateTimeOffset.UtcNow });
            }
        }
        launcher = new Launcher(options, Line, context.Error.WriteLine, Fault);
        var code = launcher.Run(context.Cancellation);
        log.Write(folder);
        Summarize(context, recipe, data, folder, watch, (first ?? last?.Step ?? 0, last), json);
        return (code, last?.Step);
    }

    private static void Summarize(CommandContext context, Recipe recipe, PreparedData data, string folder, LaunchWatch watch, (long First, RunResult? Last) trained, bool json)
    {
        if (trained.Last is not { } last) return;
        var stream = RunSamples.Of(recipe, data, folder);
        var audit = SampleAudit.Of(SampleAudit.Recorded(folder), number => stream.Read(number * recipe.Training.Batch, recipe.Training.Batch).SampleIds, (trained.First, last.Step));
        context.Error.WriteLine(audit);
        if (watch.Words() is { } recoveries) context.Error.WriteLine(recoveries);
        if (!json) return;
        context.Out.WriteJson(new JsonObject
        {
            ["event"] = "launched", ["faults"] = watch.Faults, ["audited_steps"] = audit.Steps, ["audited_samples"] = audit.Samples, ["lost_samples"] = audit.Lost, ["refused_batches"] = audit.Refused, ["wrong_steps"] = new JsonArray([.. audit.Wrong.Select(step => (JsonNode)step)]), ["unrecorded_steps"] = audit.Unrecorded,
            ["recovery"] = watch.Recovery(),
        });
        // The contract's last line.
        context.Out.WriteLine(new RunEventWriter().Line(new RunFinished(last)));
    }
}
