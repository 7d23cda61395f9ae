using System.CommandLine;
using System.Text.Json.Nodes;
using Perennial.Cli.Hosting;
using Perennial.Core;
using Perennial.Tensors;
using Perennial.Training.Bench;

namespace Perennial.Cli.Commands.Bench;

/// <summary><c>perennial bench train</c>.</summary>
internal static class BenchTrainCommand
{
    public static Command Create(CommandContext context)
    {
        var against = new Option<string?>("--against") { Description = "plain: also time a step of ordinary operators (no fused head, TorchSharp's own AdamW) in alternation." };
        against.AcceptOnlyFromAmong("plain");
        var steps = new Option<int>("--steps") { Description = "Timed steps of each kind.", DefaultValueFactory = _ => 5 };
        var json = CommandExtensions.Json();
        return new Command("train", "Training steps at the quickstart and the GPT-2 124M shape, against the measured matrix-product ceiling.") { against, steps, json }.Does(parsed =>
        {
            if (parsed.GetValue(steps) is < 1 or > 1000) throw PerennialException.Usage("--steps must be from 1 to 1000");
            TorchRuntime.Initialize();
            var results = TrainBench.Run(new TrainBenchOptions { Steps = parsed.GetValue(steps), AgainstPlain = parsed.GetValue(against) is not null });
            if (!parsed.GetValue(json)) context.Out.WriteLine($"{"shape",-12} {"precision",-9} {"step",9} {"forward",9} {"backward",9} {"optimizer",15} {"loader",18} {"tokens/s",9} {"ceiling",14} {"MFU",7} {"over plain",11}");
            foreach (var result in results)
            {
                context.Cancellation.ThrowIfCancellationRequested();
                if (parsed.GetValue(json)) context.Out.WriteJson(ToJson(result));
                else context.Out.WriteLine(ToText(result));
            }
            return ExitCode.Done;
        });
    }

    private static string ToText(TrainBenchResult result) =>
        $"{result.Shape,-12} {result.Precision.ToString().ToLowerInvariant(),-9} {result.Step,7:F3} s {result.Forward,7:F3} s {result.Backward,7:F3} s {result.Optimizer * 1000,6:F1} ms {result.OptimizerShare,5:P1} {result.Loader * 1e6,7:F1} µs {result.LoaderShare,7:P3} {result.TokensPerSecond,9:N0} {result.CeilingFlops / 1e9,7:F0} GFLOP/s {result.Mfu,7:P1} {(result.SpeedOverPlain is { } ratio ? $"{ratio,9:F2} x" : "")}";

    private static JsonObject ToJson(TrainBenchResult result) => new()
    {
        ["event"] = "bench", ["shape"] = result.Shape, ["precision"] = result.Precision.ToString().ToLowerInvariant(), ["micro_rows"] = result.MicroRows, ["tokens"] = result.Tokens,
        ["parameters"] = result.Parameters, ["flops"] = result.Flops, ["step_seconds"] = result.Step, ["forward_seconds"] = result.Forward, ["backward_seconds"] = result.Backward,
        ["optimizer_seconds"] = result.Optimizer, ["optimizer_share"] = result.OptimizerShare, ["loader_seconds"] = result.Loader, ["loader_share"] = result.LoaderShare, ["tokens_per_second"] = result.TokensPerSecond, ["ceiling_flops"] = result.CeilingFlops, ["mfu"] = result.Mfu,
        ["optimizer_bytes"] = result.OptimizerBytes, ["managed_bytes"] = result.ManagedBytes, ["plain_step_seconds"] = result.PlainStep, ["speed_over_plain"] = result.SpeedOverPlain,
    };
}
