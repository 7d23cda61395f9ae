using System.CommandLine;
using System.Text.Json.Nodes;
using Perennial.Cli.Hosting;
using Perennial.Core;
using Perennial.Evaluation.Checkpoints;
using Perennial.Models.Quantization;
using Perennial.Tensors;

namespace Perennial.Cli.Commands;

/// <summary><c>perennial checkpoint quantize</c>.</summary>
internal static class CheckpointQuantize
{
    public static Command Create(CommandContext context)
    {
        var path = new Argument<string>("CHECKPOINT") { Description = "A run folder, a checkpoint, or a Hugging Face folder." };
        var target = new Option<string>("--out") { Description = "The new Hugging Face folder.", Required = true };
        var bits = new Option<int>("--bits") { Description = "4 or 8.", DefaultValueFactory = _ => 4 };
        var group = new Option<int>("--group") { Description = "Inputs that share a scale; 0 for one scale an output row.", DefaultValueFactory = _ => 128 };
        var search = new Option<bool>("--clip-search") { Description = "Search for the clipping of every group that rounds best." };
        var json = CommandExtensions.Json();
        return new Command("quantize", "Round the matrices of a model to 4- or 8-bit integers, to nearest (compressed-tensors format). score, evaluate and generate read the result; convert --type float32 undoes the packing.") { path, target, bits, group, search, json }.Does(parsed =>
        {
            var scheme = new QuantizationScheme(parsed.GetValue(bits), parsed.GetValue(group)).Checked();
            TorchRuntime.Initialize();
            var report = FolderQuantization.Quantize(LoadedCheckpoint.Locate(parsed.GetRequiredValue(path), context.Error.WriteLine), parsed.GetRequiredValue(target), scheme, parsed.GetValue(search));
            if (parsed.GetValue(json))
                context.Out.WriteJson(new JsonObject
                {
                    ["event"] = "quantization", ["folder"] = parsed.GetValue(target), ["bits"] = scheme.Bits, ["group"] = scheme.Group, ["matrices"] = report.Matrices,
                    ["bytes_before"] = report.Before, ["bytes"] = report.After, ["bytes_computed"] = report.Computed, ["relative_error"] = report.RelativeError,
                });
            else
                context.Out.WriteLine($"{parsed.GetValue(target)}: {report.Matrices} matrices in {scheme.Bits} bits, {report.After:N0} bytes (computed {report.Computed:N0}) of {report.Before:N0} in float32; the matrices changed by {report.RelativeError:P2}");
            return ExitCode.Done;
        });
    }
}
