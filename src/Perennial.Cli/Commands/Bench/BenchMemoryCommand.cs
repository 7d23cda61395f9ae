using System.CommandLine;
using System.Text.Json.Nodes;
using Perennial.Cli.Hosting;
using Perennial.Core;
using Perennial.Experiments.Measured;
using Perennial.Tensors;
using Perennial.Training.Bench;

namespace Perennial.Cli.Commands.Bench;

/// <summary><c>perennial bench memory</c>.</summary>
internal static class BenchMemoryCommand
{
    public static Command Create(CommandContext context)
    {
        var only = new Option<string?>("--method") { Description = "Measure this one, in this process; all, each in a process of its own, when left out." };
        only.AcceptOnlyFromAmong([.. MemoryBench.Methods.Keys]);
        var layers = new Option<int>("--layers") { Description = "Blocks of width 512.", DefaultValueFactory = _ => 12 };
        var json = CommandExtensions.Json();
        return new Command("memory", "Resident memory that training takes by every method (parameterizations under AdamW, optimizers on dense matrices), each in a process of its own, against its formula and against dense AdamW.") { only, layers, json }.Does(parsed =>
        {
            if (parsed.GetValue(layers) is < 1 or > 200) throw PerennialException.Usage("--layers must be from 1 to 200");
            if (parsed.GetValue(only) is { } kind)
            {
                TorchRuntime.Initialize();
                Tell(context, ToJson(MemoryBench.Run(kind, parsed.GetValue(layers))), parsed.GetValue(json));
                return ExitCode.Done;
            }
            if (!parsed.GetValue(json)) context.Out.WriteLine($"{"method",-18} {"trained",13} {"formula",12} {"resident",12} {"error",7} {"of dense",9} {"peak",12}");
            var program = ProgramCommand.Current(typeof(BenchMemoryCommand).Assembly.Location);
            long? dense = null;
            foreach (var each in MemoryBench.Methods.Keys)
            {
                var result = program.Run(["bench", "memory", "--method", each, "--layers", $"{parsed.GetValue(layers)}", "--json"], TimeSpan.FromMinutes(5), context.Cancellation);
                var line = result.Output.LastOrDefault(line => line.StartsWith('{')) ?? throw PerennialException.Failed($"bench memory: the process for {each} ended without a result: {string.Join(" | ", result.Errors.TakeLast(3))}");
                var measured = (JsonObject)JsonNode.Parse(line)!;
                dense ??= (long)measured["resident_bytes"]!;
                measured["of_dense"] = (double)(long)measured["resident_bytes"]! / dense;
                Tell(context, measured, parsed.GetValue(json));
            }
            return ExitCode.Done;
        });
    }

    private static void Tell(CommandContext context, JsonObject result, bool json)
    {
        if (json) context.Out.WriteJson(result);
        else context.Out.WriteLine($"{(string)result["method"]!,-18} {(long)result["parameters"]!,13:N0} {Mebibytes(result["formula_bytes"]!),12} {Mebibytes(result["resident_bytes"]!),12} {(double)result["error"]!,7:P1} {(result["of_dense"] is { } share ? $"{(double)share:P1}" : ""),9} {Mebibytes(result["peak_bytes"]!),12}");
    }

    private static string Mebibytes(JsonNode bytes) => $"{(long)bytes / 1048576.0:F1} MiB";

    private static JsonObject ToJson(MemoryBenchResult result) => new()
    {
        ["event"] = "bench", ["method"] = result.Kind, ["parameters"] = result.Parameters, ["formula_bytes"] = result.FormulaBytes,
        ["resident_bytes"] = result.ResidentBytes, ["error"] = result.Error, ["peak_bytes"] = result.PeakBytes,
    };
}
