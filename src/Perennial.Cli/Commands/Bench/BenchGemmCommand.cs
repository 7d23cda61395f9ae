using System.CommandLine;
using System.Text.Json.Nodes;
using Perennial.Cli.Hosting;
using Perennial.Core;
using Perennial.Models;
using Perennial.Tensors;
using Perennial.Training.Bench;

namespace Perennial.Cli.Commands.Bench;

/// <summary><c>perennial bench gemm</c>.</summary>
internal static class BenchGemmCommand
{
    private const int Shown = 10;

    public static Command Create(CommandContext context)
    {
        var layers = new Option<int>("--layers") { Description = "Blocks of the shape you have in mind.", DefaultValueFactory = _ => 6 };
        var width = new Option<int>("--width") { Description = "Its width; a multiple of 32.", DefaultValueFactory = _ => 256 };
        var vocabulary = new Option<int>("--vocabulary") { Description = "Its vocabulary.", DefaultValueFactory = _ => 4096 };
        var contextLength = new Option<int>("--context") { Description = "Its context.", DefaultValueFactory = _ => 256 };
        var tokens = new Option<int>("--tokens") { Description = "Tokens of a micro-batch.", DefaultValueFactory = _ => 2048 };
        var json = CommandExtensions.Json();
        return new Command("gemm", "Which decoder shapes of as many parameters train fastest here, by timing their matrix products.") { layers, width, vocabulary, contextLength, tokens, json }.Does(parsed =>
        {
            var wide = parsed.GetValue(width);
            if (wide is < 64 or > 8192 || wide % 32 != 0) throw PerennialException.Usage("--width must be a multiple of 32 from 64 to 8192");
            if (parsed.GetValue(layers) is < 1 or > 256) throw PerennialException.Usage("--layers must be from 1 to 256");
            if (parsed.GetValue(tokens) is < 16 or > 65536) throw PerennialException.Usage("--tokens must be from 16 to 65536");
            TorchRuntime.Initialize();
            var wanted = new LlamaArchitecture(new LlamaOptions { Layers = parsed.GetValue(layers), Width = wide, Heads = wide / 32, Context = parsed.GetValue(contextLength) }).Describe(parsed.GetValue(vocabulary), 0);
            var ranked = new SizingAdvisor(parsed.GetValue(tokens)).Rank(wanted, context.Cancellation);
            var asked = ranked.Single(shape => shape.Config == wanted);
            if (parsed.GetValue(json))
            {
                foreach (var shape in ranked)
                    context.Out.WriteJson(new JsonObject
                    {
                        ["event"] = "bench", ["layers"] = shape.Config.Layers, ["width"] = shape.Config.Width, ["heads"] = shape.Config.Heads, ["intermediate"] = shape.Config.Intermediate, ["parameters"] = shape.Parameters,
                        ["predicted_tokens_per_second"] = shape.TokensPerSecond, ["over_wanted"] = asked.SecondsPerToken / shape.SecondsPerToken, ["wanted"] = shape == asked,
                    });
                return ExitCode.Done;
            }
            context.Out.WriteLine($"{ranked.Count} shapes of {asked.Parameters / 1e6:F2} M parameters (2 % more or less), predicted from their matrix products:");
            foreach (var shape in ranked.Take(Shown)) context.Out.WriteLine(Line(shape, asked));
            if (!ranked.Take(Shown).Contains(asked)) context.Out.WriteLine(Line(asked, asked));
            return ExitCode.Done;
        });
    }

    private static string Line(SizedShape shape, SizedShape asked) =>
        $"  {shape.TokensPerSecond,9:N0} tokens/s  {asked.SecondsPerToken / shape.SecondsPerToken,5:F2} x  {shape}{(shape == asked ? "  <- as asked" : "")}";
}
