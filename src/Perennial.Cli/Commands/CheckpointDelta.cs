using System.CommandLine;
using System.Text.Json.Nodes;
using Perennial.Cli.Hosting;
using Perennial.Core;
using Perennial.Evaluation.Checkpoints;
using Perennial.Tensors;
using Perennial.Training.Checkpoints;

namespace Perennial.Cli.Commands;

/// <summary><c>perennial checkpoint diff --out</c>, <c>apply</c> and <c>ensemble</c>: models from models.</summary>
internal static class CheckpointDelta
{
    /// <summary>Writes a residual and says how large it is.</summary>
    public static void Write(CommandContext context, string basis, string tuned, string target, bool json)
    {
        var tensors = WeightDelta.Create(basis, tuned, target);
        foreach (var one in tensors)
        {
            if (json) context.Out.WriteJson(new JsonObject { ["event"] = "tensor", ["name"] = one.Name, ["relative_norm"] = CommandExtensions.Number(one.RelativeNorm), ["zeros"] = one.Zeros, ["corrections"] = one.Corrections });
            else context.Out.WriteLine($"{one.Name,-60} relative norm {one.RelativeNorm:G4}, {one.Zeros:P1} unmoved, {one.Corrections} corrected");
        }
        if (!json) context.Out.WriteLine($"residual of {tensors.Count} tensors written to {target}");
    }

    public static Command Apply(CommandContext context)
    {
        var basis = new Argument<string>("BASE") { Description = "The model to add to: a run folder, checkpoint or Hugging Face folder." };
        var residual = new Argument<string>("RESIDUAL") { Description = "A folder that 'checkpoint diff --out' wrote." };
        var target = new Option<string>("--out") { Description = "The new Hugging Face folder.", Required = true };
        var scale = new Option<double>("--scale") { Description = "Factor on the residual.", DefaultValueFactory = _ => 1 };
        var json = CommandExtensions.Json();
        return new Command("apply", "Add a residual to a model (instruction residuals): the new model has both what the model and what the residual knows.") { basis, residual, target, scale, json }.Does(parsed =>
        {
            if (!double.IsFinite(parsed.GetValue(scale))) throw PerennialException.Usage("--scale must be a finite number");
            TorchRuntime.Initialize();
            var applied = WeightDelta.Apply(LoadedCheckpoint.Locate(parsed.GetRequiredValue(basis), context.Error.WriteLine), parsed.GetRequiredValue(residual), parsed.GetRequiredValue(target), parsed.GetValue(scale));
            if (parsed.GetValue(json))
                context.Out.WriteJson(new JsonObject { ["event"] = "applied", ["folder"] = parsed.GetValue(target), ["tensors"] = applied.Tensors, ["own_base"] = applied.IsOwnBase, ["grown_rows"] = applied.GrownRows });
            else
                context.Out.WriteLine($"{parsed.GetValue(target)}: {applied.Tensors} tensors{(applied.GrownRows > 0 ? $", {applied.GrownRows} rows of vocabulary added" : "")}; the base is {(applied.IsOwnBase ? "the one" : "another than")} the residual was taken from");
            return ExitCode.Done;
        });
    }

    public static Command Ensemble(CommandContext context)
    {
        var paths = new Argument<string[]>("CHECKPOINTS") { Description = "Models of one tokenizer: run folders, checkpoints or Hugging Face folders.", Arity = ArgumentArity.OneOrMore };
        var target = new Option<string>("--out") { Description = "The new folder.", Required = true };
        return new Command("ensemble", "Name several models that are scored and evaluated as one, by the mean of their logits.") { paths, target }.Does(parsed =>
        {
            var members = parsed.GetRequiredValue(paths).Select(path => LoadedCheckpoint.Locate(path, context.Error.WriteLine)).ToList();
            EnsembleFolder.Write(members, parsed.GetRequiredValue(target));
            context.Out.WriteLine($"{parsed.GetValue(target)}: an ensemble of {members.Count} models");
            return ExitCode.Done;
        });
    }
}
