using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using Perennial.Cli.Hosting;
using Perennial.Core;
using Perennial.Models;
using Perennial.Tensors;
using Perennial.Training.Bench;

namespace Perennial.Cli.Commands.Bench;

/// <summary><c>perennial bench layers</c>.</summary>
internal static class BenchLayersCommand
{
    public static Command Create(CommandContext context)
    {
        var layers = new Option<int>("--layers") { Description = "Blocks of the decoder.", DefaultValueFactory = _ => 32 };
        var width = new Option<int>("--width") { Description = "Its width.", DefaultValueFactory = _ => 256 };
        var vocabulary = new Option<int>("--vocabulary") { Description = "Its vocabulary.", DefaultValueFactory = _ => 1024 };
        var json = CommandExtensions.Json();
        return new Command("layers", "What a decoder's blocks and its head cost here, as `layer-costs` of a simulation's job.") { layers, width, vocabulary, json }.Does(parsed =>
        {
            var (count, wide) = (parsed.GetValue(layers), parsed.GetValue(width));
            if (count is < 1 or > 1024) throw PerennialException.Usage("--layers must be from 1 to 1024");
            if (wide < 64 || wide % 64 != 0 || wide > 8192) throw PerennialException.Usage("--width must be a multiple of 64 from 64 to 8192");
            TorchRuntime.Initialize();
            var costs = LayerCosts.Measure(new LlamaArchitecture(new LlamaOptions { Layers = count, Width = wide, Heads = wide / 64, Context = 128 }).Describe(parsed.GetValue(vocabulary), 0), rows: 4);
            if (parsed.GetValue(json))
                context.Out.WriteJson(new JsonObject { ["event"] = "bench", ["block_seconds"] = costs.Block, ["ends_seconds"] = costs.Ends, ["layer_costs"] = new JsonArray([.. costs.Of(count).Select(cost => (JsonNode)cost)]) });
            else
                context.Out.WriteLine($"block {costs.Block * 1e6:F1} µs a sample, embedding and head {costs.Ends * 1e6:F1} µs\njob: {{ layer-costs: [{string.Join(", ", costs.Of(count).Select(cost => cost.ToString("0.###", CultureInfo.InvariantCulture)))}] }}");
            return ExitCode.Done;
        });
    }
}
