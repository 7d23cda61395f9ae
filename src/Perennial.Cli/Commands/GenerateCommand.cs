using System.CommandLine;
using System.Text;
using System.Text.Json.Nodes;
using Perennial.Cli.Hosting;
using Perennial.Core;
using Perennial.Evaluation.Checkpoints;
using Perennial.Models.Inference;
using Perennial.Tensors;

namespace Perennial.Cli.Commands;

/// <summary><c>perennial generate</c>.</summary>
internal static class GenerateCommand
{
    public static Command Create(CommandContext context)
    {
        var path = new Argument<string>("CHECKPOINT") { Description = "A run folder, a checkpoint, or a Hugging Face folder." };
        var prompt = new Option<string>("--prompt") { Description = "What the text begins with.", Required = true };
        var tokens = new Option<int>("--tokens") { Description = "Most tokens to write.", DefaultValueFactory = _ => 100 };
        var temperature = new Option<double>("--temperature") { Description = "0 takes the most probable token every time.", DefaultValueFactory = _ => 0.8 };
        var topK = new Option<int>("--top-k") { Description = "Draw among the k most probable tokens; 0 for all." };
        var topP = new Option<double>("--top-p") { Description = "Draw among the most probable tokens that reach this probability.", DefaultValueFactory = _ => 1.0 };
        var seed = new Option<ulong>("--seed") { Description = "Equal seeds write equal texts." };
        var json = CommandExtensions.Json();
        return new Command("generate", "Let a model go on from a text.") { path, prompt, tokens, temperature, topK, topP, seed, json }.Does(parsed =>
        {
            Require(parsed.GetValue(tokens) >= 1, "--tokens must be at least 1");
            Require(parsed.GetValue(temperature) is >= 0 and <= 100, "--temperature must be from 0 to 100");
            Require(parsed.GetValue(topK) >= 0, "--top-k must be at least 0");
            Require(parsed.GetValue(topP) is > 0 and <= 1, "--top-p must be above 0 and at most 1");
            TorchRuntime.Initialize();
            using var model = LoadedCheckpoint.Open(parsed.GetRequiredValue(path), context.Error.WriteLine);
            var start = new List<int>();
            model.Tokenizer.Encode(Encoding.UTF8.GetBytes(parsed.GetRequiredValue(prompt)), start);
            if (start.Count == 0) start.Add(model.Tokenizer.EndOfText);
            var options = new GenerationOptions
            {
                Tokens = parsed.GetValue(tokens), Temperature = parsed.GetValue(temperature), TopK = parsed.GetValue(topK), TopP = parsed.GetValue(topP),
                Seed = parsed.GetValue(seed), EndOfText = model.Tokenizer.EndOfText,
            };
            return parsed.GetValue(json) ? Whole(context, model, start, options, parsed.GetRequiredValue(prompt)) : Stream(context, model, start, options, parsed.GetRequiredValue(prompt));
        });
    }

    private static ExitCode Whole(CommandContext context, LoadedCheckpoint model, List<int> start, GenerationOptions options, string prompt)
    {
        var ids = Generator.Generate(model.Model, start, options).ToArray();
        context.Out.WriteJson(new JsonObject
        {
            ["event"] = "generation", ["prompt"] = prompt, ["text"] = Encoding.UTF8.GetString(model.Tokenizer.Decode(ids)),
            ["token_ids"] = new JsonArray([.. ids.Select(id => (JsonNode)JsonValue.Create(id))]),
        });
        return ExitCode.Done;
    }

    private static ExitCode Stream(CommandContext context, LoadedCheckpoint model, List<int> start, GenerationOptions options, string prompt)
    {
        // Tokens may cut a character: the decoder keeps its first bytes until the rest comes.
        var decoder = Encoding.UTF8.GetDecoder();
        var characters = new char[4096];
        context.Out.Write(prompt);
        foreach (var id in Generator.Generate(model.Model, start, options))
        {
            var count = decoder.GetChars(model.Tokenizer.Decode([id]), characters, flush: false);
            context.Out.Write(characters.AsSpan(0, count));
            context.Out.Flush();
        }
        context.Out.WriteLine();
        return ExitCode.Done;
    }

    private static void Require(bool holds, string problem)
    {
        if (!holds) throw PerennialException.Usage(problem);
    }
}
