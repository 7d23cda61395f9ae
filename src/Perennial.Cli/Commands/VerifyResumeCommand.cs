using System.CommandLine;
using System.Text.Json.Nodes;
using Perennial.Cli.Hosting;
using Perennial.Core;
using Perennial.Tensors;
using Perennial.Training.Recipes;
using Perennial.Training.Runs;

namespace Perennial.Cli.Commands;

/// <summary><c>perennial verify-resume</c>.</summary>
internal static class VerifyResumeCommand
{
    public static Command Create(CommandContext context)
    {
        var recipe = new Argument<string>("RECIPE") { Description = "The recipe to prove exact resume on." };
        var set = CommandExtensions.Set();
        var steps = new Option<long>("--steps") { Description = "Length of the proof.", DefaultValueFactory = _ => 12 };
        var json = CommandExtensions.Json();
        return new Command("verify-resume", "Train a short copy of a recipe twice, once stopped and resumed several times, and compare the states bit for bit.") { recipe, set, steps, json }.Does(parsed =>
        {
            if (parsed.GetValue(steps) < 4) throw PerennialException.Usage("--steps must be at least 4");
            var bound = new RecipeLoader(context.Components).Load(parsed.GetRequiredValue(recipe), parsed.GetValue(set));
            TorchRuntime.Initialize();
            var work = Directory.CreateTempSubdirectory("perennial-verify-resume-").FullName;
            var proof = ResumeProof.Run(context.Components, bound, parsed.GetValue(steps), work, context.Error.WriteLine, context.Cancellation);
            if (parsed.GetValue(json))
                context.Out.WriteJson(new JsonObject { ["event"] = "verify-resume", ["exact"] = proof.IsExact, ["steps"] = proof.Steps, ["uninterrupted"] = proof.Uninterrupted, ["interrupted"] = proof.Interrupted });
            else
                context.Out.WriteLine($"{(proof.IsExact ? "exact" : "NOT exact")}: {proof.Steps} steps, stopped at {string.Join(", ", proof.Stops)}: {proof.Uninterrupted} against {proof.Interrupted}");
            return proof.IsExact ? ExitCode.Done : ExitCode.Failed;
        });
    }
}
