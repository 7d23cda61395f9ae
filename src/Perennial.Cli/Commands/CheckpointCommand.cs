using System.CommandLine;
using System.Text.Json.Nodes;
using Perennial.Cli.Hosting;
using Perennial.Core;
using Perennial.Core.Recipes;
using Perennial.Evaluation.Checkpoints;
using Perennial.Models;
using Perennial.Models.HuggingFace;
using Perennial.Resilience;
using Perennial.Resilience.Universal;
using Perennial.Tensors;
using Perennial.Training.Checkpoints;

namespace Perennial.Cli.Commands;

/// <summary><c>perennial checkpoint inspect|verify|diff|apply|average|convert|quantize|ensemble</c>.</summary>
internal static class CheckpointCommand
{
    public static Command Create(CommandContext context) => new("checkpoint", "Look at, verify, compare, add up, average, convert and quantize checkpoints.")
    {
        Inspect(context), Verify(context), Diff(context), CheckpointDelta.Apply(context), Average(context), CheckpointConvert.Create(context), CheckpointQuantize.Create(context), CheckpointDelta.Ensemble(context),
    };

    private static Command Inspect(CommandContext context)
    {
        var (path, json) = (PathArgument(), CommandExtensions.Json());
        return new Command("inspect", "Architecture, tensors and progress of a checkpoint.") { path, json }.Does(parsed =>
        {
            var folder = LoadedCheckpoint.Locate(parsed.GetRequiredValue(path), context.Error.WriteLine);
            var config = ConfigJson.Read(folder);
            var layout = DecoderLayout.Of(config);
            var sharded = ShardedCheckpoint.IsIn(folder) ? UniversalManifest.Read(folder) : null;
            var progress = sharded is not null ? ShardedCheckpoint.TryProgress(sharded, folder) : Directory.Exists(Path.Combine(folder, "state")) ? CheckpointFiles.ReadProgress(folder) : null;
            if (parsed.GetValue(json))
            {
                context.Out.WriteJson(new JsonObject
                {
                    ["event"] = "checkpoint", ["folder"] = folder, ["config"] = ConfigJson.ToJson(config), ["parameters"] = layout.Length,
                    ["step"] = progress?.Step, ["tokens"] = progress?.Tokens, ["shape"] = sharded?.Shape, ["files"] = sharded?.Files.Count, ["slots"] = sharded is null ? null : new JsonArray([.. sharded.Slots.Select(slot => (JsonNode)slot.Slot.Name)]),
                    ["tensors"] = new JsonArray([.. layout.Entries.Select(entry => (JsonNode)new JsonObject { ["name"] = entry.Name, ["shape"] = new JsonArray([.. entry.Shape.Select(size => (JsonNode)size)]) })]),
                });
                return ExitCode.Done;
            }
            context.Out.WriteLine($"{folder}: {config.Family}, {layout.Length:N0} parameters, {config.Layers} layers of width {config.Width}, {config.Heads} heads ({config.KeyValueHeads} for keys), context {config.Context}, vocabulary {config.Vocabulary}");
            if (progress is not null) context.Out.WriteLine($"step {progress.Step:N0}, {progress.Tokens:N0} tokens, last loss {progress.LastLoss:F4}, cursor {progress.Cursor:N0}");
            foreach (var line in ShardedText.Of(sharded)) context.Out.WriteLine(line);
            foreach (var entry in layout.Entries) context.Out.WriteLine($"  {entry.Name,-60} [{string.Join(", ", entry.Shape)}]{(sharded is null ? "" : "  " + ShardedText.Pattern(sharded, entry.Name))}");
            return ExitCode.Done;
        });
    }

    private static Command Verify(CommandContext context)
    {
        var (path, json) = (PathArgument(), CommandExtensions.Json());
        return new Command("verify", "Check every file against the manifest, and that the weights fill the model exactly once.") { path, json }.Does(parsed =>
        {
            var given = parsed.GetRequiredValue(path);
            var entries = new CheckpointStore(Path.Combine(given, "checkpoints")).List();
            if (entries.Count == 0) entries = [new CheckpointEntry(0, LoadedCheckpoint.Locate(given, context.Error.WriteLine))];
            TorchRuntime.Initialize();
            var damaged = 0;
            foreach (var entry in entries)
            {
                var problem = File.Exists(Path.Combine(entry.Folder, CheckpointManifest.FileName)) || entries.Count > 1 ? CheckpointStore.Problem(entry) : null;
                problem ??= LoadProblem(entry.Folder);
                if (problem is not null) damaged++;
                if (parsed.GetValue(json)) context.Out.WriteJson(new JsonObject { ["event"] = "checkpoint", ["folder"] = entry.Folder, ["whole"] = problem is null, ["problem"] = problem });
                else context.Out.WriteLine($"{entry.Folder}: {problem ?? "whole"}");
            }
            return damaged == 0 ? ExitCode.Done : ExitCode.Damaged;
        });
    }

    private static string? LoadProblem(string folder)
    {
        try
        {
            if (ShardedCheckpoint.IsIn(folder))
            {
                using var ranks = UniversalCheckpoint.Open(folder);
                ranks.Verify();
            }
            LoadedCheckpoint.Open(folder, _ => { }).Dispose();
            return null;
        }
        catch (PerennialException error)
        {
            return error.Message;
        }
    }

    private static Command Diff(CommandContext context)
    {
        var first = new Argument<string>("FIRST") { Description = "A run folder, checkpoint or Hugging Face folder." };
        var second = new Argument<string>("SECOND") { Description = "Another." };
        var json = CommandExtensions.Json();
        var target = new Option<string?>("--out") { Description = "Write SECOND - FIRST there, a residual for 'checkpoint apply'." };
        return new Command("diff", "Compare two models tensor by tensor; with --out, write their difference.") { first, second, target, json }.Does(parsed =>
        {
            TorchRuntime.Initialize();
            if (parsed.GetValue(target) is { } residual)
            {
                CheckpointDelta.Write(context, LoadedCheckpoint.Locate(parsed.GetRequiredValue(first), context.Error.WriteLine), LoadedCheckpoint.Locate(parsed.GetRequiredValue(second), context.Error.WriteLine), residual, parsed.GetValue(json));
                return ExitCode.Done;
            }
            var (one, other) = (LoadedCheckpoint.Locate(parsed.GetRequiredValue(first), context.Error.WriteLine), LoadedCheckpoint.Locate(parsed.GetRequiredValue(second), context.Error.WriteLine));
            var differences = CheckpointArithmetic.Compare(one, other);
            foreach (var tensor in differences)
            {
                if (parsed.GetValue(json))
                    context.Out.WriteJson(new JsonObject { ["event"] = "tensor", ["name"] = tensor.Name, ["equal"] = tensor.Equal, ["largest_difference"] = CommandExtensions.Number(tensor.LargestDifference), ["relative_difference"] = CommandExtensions.Number(tensor.RelativeDifference) });
                else if (!tensor.Equal) context.Out.WriteLine($"{tensor.Name,-60} largest {tensor.LargestDifference:G4}, relative {tensor.RelativeDifference:G4}");
            }
            if (!parsed.GetValue(json)) context.Out.WriteLine($"{differences.Count(tensor => tensor.Equal)} of {differences.Count} tensors are equal bit for bit");
            if (ShardedCheckpoint.IsIn(one) && ShardedCheckpoint.IsIn(other))
                foreach (var (slot, equal, all) in ShardedText.Slots(UniversalManifest.Read(one), UniversalManifest.Read(other)))
                {
                    if (parsed.GetValue(json)) context.Out.WriteJson(new JsonObject { ["event"] = "slot", ["name"] = slot, ["equal"] = equal, ["tensors"] = all });
                    else context.Out.WriteLine($"slot {slot}: {equal} of {all} tensors have equal content");
                }
            return ExitCode.Done;
        });
    }

    private static Command Average(CommandContext context)
    {
        var paths = new Argument<string[]>("CHECKPOINTS") { Description = "Checkpoints, newest first; or one run folder: its checkpoints.", Arity = ArgumentArity.OneOrMore };
        var target = new Option<string>("--out") { Description = "The new Hugging Face folder.", Required = true };
        var rule = new Option<string>("--weights") { Description = "uniform, ema, ema-normalized or linear.", DefaultValueFactory = _ => "uniform" };
        var alpha = new Option<double>("--alpha") { Description = "α of the exponential rules.", DefaultValueFactory = _ => 0.2 };
        var last = new Option<int?>("--last") { Description = "Only the newest so many." };
        var json = CommandExtensions.Json();
        return new Command("average", "Average checkpoints in float32 into a new model.") { paths, target, rule, alpha, last, json }.Does(parsed =>
        {
            var words = OptionNames.EnumWords(typeof(AverageRule));
            if (!words.TryGetValue(parsed.GetRequiredValue(rule), out var chosen)) throw PerennialException.Usage($"--weights: unknown rule '{parsed.GetValue(rule)}'{Nearest.Hint(parsed.GetRequiredValue(rule), [.. words.Keys])}");
            if (parsed.GetValue(alpha) is not (> 0 and <= 1)) throw PerennialException.Usage("--alpha must be above 0 and at most 1");
            var given = parsed.GetRequiredValue(paths);
            var folders = given.Length == 1 && new CheckpointStore(Path.Combine(given[0], "checkpoints")).List() is { Count: > 0 } list
                ? list.Where(entry => CheckpointStore.Problem(entry) is null).Select(entry => entry.Folder).ToList()
                : given.Select(path => LoadedCheckpoint.Locate(path, context.Error.WriteLine)).ToList();
            if (parsed.GetValue(last) is { } count) folders = [.. folders.Take(Math.Max(1, count))];
            if (folders.Count == 0) throw PerennialException.Damaged($"{given[0]}: no checkpoint is whole");
            TorchRuntime.Initialize();
            CheckpointArithmetic.Average(folders, AverageWeights.Of((AverageRule)chosen, folders.Count, parsed.GetValue(alpha)), parsed.GetRequiredValue(target));
            if (parsed.GetValue(json)) context.Out.WriteJson(new JsonObject { ["event"] = "average", ["checkpoints"] = new JsonArray([.. folders.Select(folder => (JsonNode)folder)]), ["folder"] = parsed.GetValue(target) });
            else context.Out.WriteLine($"average of {folders.Count} checkpoints written to {parsed.GetValue(target)}");
            return ExitCode.Done;
        });
    }

    private static Argument<string> PathArgument() => new("CHECKPOINT") { Description = "A run folder, a checkpoint, or a Hugging Face folder." };
}
