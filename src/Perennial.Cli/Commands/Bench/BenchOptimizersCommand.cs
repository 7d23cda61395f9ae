using System.CommandLine;
using System.Text.Json.Nodes;
using Perennial.Cli.Hosting;
using Perennial.Core;
using Perennial.Core.Recipes;
using Perennial.Tensors;
using Perennial.Training.Bench;

namespace Perennial.Cli.Commands.Bench;

/// <summary><c>perennial bench optimizers</c>.</summary>
internal static class BenchOptimizersCommand
{
    public static Command Create(CommandContext context)
    {
        var kinds = new Option<string?>("--kinds") { Description = "Optimizers to measure, separated by commas; all when left out." };
        var shape = new Option<string>("--shape") { Description = "quickstart or gpt2-124m.", DefaultValueFactory = _ => "quickstart" };
        shape.AcceptOnlyFromAmong("quickstart", "gpt2-124m");
        var steps = new Option<int>("--steps") { Description = "Timed steps of each kind, and pairs of whole steps.", DefaultValueFactory = _ => 15 };
        var against = new Option<string?>("--whole-step") { Description = "Also time whole training steps with this optimizer beside AdamW's, at the quickstart shape with 8 and 32 windows." };
        var json = CommandExtensions.Json();
        return new Command("optimizers", "Time and memory of every optimizer's step, against the machine's floor: bytes at the speed of a copy, products at the matrix ceiling.") { kinds, shape, steps, against, json }.Does(parsed =>
        {
            if (parsed.GetValue(steps) is < 1 or > 1000) throw PerennialException.Usage("--steps must be from 1 to 1000");
            TorchRuntime.Initialize();
            var components = ComponentRegistry.ScanHouse();
            var asJson = parsed.GetValue(json);
            var options = new OptimizerBenchOptions
            {
                Shape = parsed.GetValue(shape) == "quickstart" ? BenchShape.Quickstart : BenchShape.Gpt2,
                Steps = parsed.GetValue(steps),
                Kinds = parsed.GetValue(kinds)?.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries) ?? [],
            };
            if (!asJson) context.Out.WriteLine($"{"optimizer",-20} {"step",10} {"floor",10} {"ratio",6} {"rare step",11} {"state",11} {"formula",11} {"resident",11} {"B/param",8}");
            foreach (var result in OptimizerBench.Run(components, options))
            {
                context.Cancellation.ThrowIfCancellationRequested();
                if (asJson) context.Out.WriteJson(ToJson(result));
                else context.Out.WriteLine($"{result.Kind,-20} {result.Step * 1000,7:F2} ms {result.Floor * 1000,7:F2} ms {result.Ratio,6:F2} {(result.Refresh > 0 ? $"{result.Refresh * 1000:F1} ms" : ""),11} {Mebibytes(result.StateBytes),11} {Mebibytes(result.FormulaBytes),11} {Mebibytes(result.ResidentBytes),11} {result.StateBytes / (double)result.Parameters,8:F3}");
            }
            if (parsed.GetValue(against) is { } kind)
                foreach (var whole in new[] { BenchShape.QuickstartBatch, BenchShape.Quickstart })
                {
                    context.Cancellation.ThrowIfCancellationRequested();
                    var share = OptimizerShare.Run(components, kind, whole, Bfloat16.IsNative ? Precision.Bfloat16 : Precision.Float32, parsed.GetValue(steps));
                    if (asJson) context.Out.WriteJson(new JsonObject { ["event"] = "whole-step", ["kind"] = kind, ["shape"] = share.Shape, ["adamw_seconds"] = share.AdamW, ["seconds"] = share.Other, ["adamw_update_seconds"] = share.AdamWUpdate, ["update_seconds"] = share.OtherUpdate, ["extra"] = share.Extra });
                    else context.Out.WriteLine($"whole step, {share.Shape}: adamw {share.AdamW * 1000:F1} ms ({share.AdamWUpdate * 1000:F1} of them the update), {kind} {share.Other * 1000:F1} ms ({share.OtherUpdate * 1000:F1}): {share.Extra:+0.0%;-0.0%}");
                }
            return ExitCode.Done;
        });
    }

    private static string Mebibytes(long bytes) => $"{bytes / 1048576.0:F2} MiB";

    private static JsonObject ToJson(OptimizerBenchResult result) => new()
    {
        ["event"] = "bench", ["optimizer"] = result.Kind, ["parameters"] = result.Parameters, ["step_seconds"] = result.Step, ["floor_seconds"] = result.Floor, ["ratio"] = result.Ratio,
        ["rare_step_seconds"] = result.Refresh, ["state_bytes"] = result.StateBytes, ["formula_bytes"] = result.FormulaBytes, ["resident_bytes"] = result.ResidentBytes,
    };
}
