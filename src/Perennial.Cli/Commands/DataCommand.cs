using System.CommandLine;
using System.Text;
using System.Text.Json.Nodes;
using Perennial.Cli.Hosting;
using Perennial.Core;
using Perennial.Data.Preparation;
using Perennial.Data.Streams;
using Perennial.Training.Recipes;

namespace Perennial.Cli.Commands;

/// <summary><c>perennial data prepare|stats|inspect</c>.</summary>
internal static class DataCommand
{
    public static Command Create(CommandContext context) => new("data", "Prepare and look at a recipe's data.") { Prepare(context, "prepare", "Tokenize a recipe's data into the cache, and say what it holds."), Prepare(context, "stats", "The same, for data that is prepared already."), Inspect(context) };

    private static Command Prepare(CommandContext context, string name, string description)
    {
        var (recipe, set, json) = (RecipeArgument(), CommandExtensions.Set(), CommandExtensions.Json());
        return new Command(name, description) { recipe, set, json }.Does(parsed =>
        {
            var bound = new RecipeLoader(context.Components).Load(parsed.GetRequiredValue(recipe), parsed.GetValue(set));
            using var data = DataPreparation.Prepare(bound.Data, bound.Seed, context.Error.WriteLine, context.Cancellation);
            foreach (var source in data.Statistics)
            {
                if (parsed.GetValue(json))
                {
                    context.Out.WriteJson(new JsonObject
                    {
                        ["event"] = "source", ["path"] = source.Path, ["weight"] = source.Weight, ["documents"] = source.Documents, ["bytes"] = source.TextBytes, ["tokens"] = source.Tokens,
                        ["held_out_documents"] = source.HeldOutDocuments, ["held_out_bytes"] = source.HeldOutBytes, ["held_out_tokens"] = source.HeldOutTokens,
                        ["rejected"] = new JsonObject([.. source.Rejected.Select(pair => KeyValuePair.Create(pair.Key, (JsonNode?)pair.Value))]),
                    });
                    continue;
                }
                context.Out.WriteLine($"{source.Path} (weight {source.Weight:G})");
                context.Out.WriteLine($"  training  {source.Documents,10:N0} documents {source.TextBytes,14:N0} bytes {source.Tokens,12:N0} tokens");
                context.Out.WriteLine($"  held out  {source.HeldOutDocuments,10:N0} documents {source.HeldOutBytes,14:N0} bytes {source.HeldOutTokens,12:N0} tokens");
                foreach (var (reason, count) in source.Rejected) context.Out.WriteLine($"  rejected  {count,10:N0} documents: {reason}");
            }
            if (!parsed.GetValue(json)) context.Out.WriteLine($"prepared in {data.Folder}");
            return ExitCode.Done;
        });
    }

    private static Command Inspect(CommandContext context)
    {
        var (recipe, set) = (RecipeArgument(), CommandExtensions.Set());
        var at = new Option<long>("--at") { Description = "First position in the training stream." };
        var count = new Option<int>("--count") { Description = "How many samples.", DefaultValueFactory = _ => 2 };
        return new Command("inspect", "Show the samples that training sees at given positions, with where they come from.") { recipe, set, at, count }.Does(parsed =>
        {
            if (parsed.GetValue(at) < 0 || parsed.GetValue(count) is < 1 or > 10_000) throw PerennialException.Usage("--at must be at least 0 and --count from 1 to 10000");
            var bound = new RecipeLoader(context.Components).Load(parsed.GetRequiredValue(recipe), parsed.GetValue(set));
            using var data = DataPreparation.Prepare(bound.Data, bound.Seed, context.Error.WriteLine, context.Cancellation);
            var time = bound.Model.Create().Describe(data.Tokenizer.VocabularySize, data.Tokenizer.EndOfText).Context;
            var batch = new SampleStream(data, bound.Data, time, bound.Seed).Read(parsed.GetValue(at), parsed.GetValue(count));
            for (var row = 0; row < batch.Rows; row++)
            {
                var (source, window) = ((int)(batch.SampleIds[row] >> 48), batch.SampleIds[row] & ((1L << 48) - 1));
                var origin = data.Train[source].Origin(data.Train[source].DocumentOf(window * time));
                context.Out.WriteLine($"position {parsed.GetValue(at) + row}: sample {batch.SampleIds[row]}, window {window} of {bound.Data.Sources[source].Path}, from {origin.Path}:{origin.Line}");
                var ids = batch.Inputs.AsSpan(row * time, time).ToArray();
                context.Out.WriteLine(Encoding.UTF8.GetString(data.Tokenizer.Decode([.. ids.Select(id => (int)id)])));
                context.Out.WriteLine();
            }
            return ExitCode.Done;
        });
    }

    private static Argument<string> RecipeArgument() => new("RECIPE") { Description = "A recipe file." };
}
