using System.CommandLine;
using System.Text.Json.Nodes;
using Perennial.Cli.Hosting;
using Perennial.Core;
using Perennial.Data.Preparation;
using Perennial.Training.Recipes;

namespace Perennial.Cli.Commands.Data;

/// <summary><c>perennial data prepare</c>.</summary>
internal static class DataPrepareCommand
{
    public static Command Create(CommandContext context)
    {
        var (recipe, set, json) = (DataCommand.RecipeArgument(), CommandExtensions.Set(), CommandExtensions.Json());
        var workers = WorkerProcesses.Option();
        return new Command("prepare", "Tokenize a recipe's data into the cache, and say what every source gave.") { recipe, set, workers, json }.Does(parsed =>
        {
            var bound = new RecipeLoader(context.Components).Load(parsed.GetRequiredValue(recipe), parsed.GetValue(set));
            using var others = WorkerProcesses.Start(parsed, workers, context);
            using var data = DataPreparation.Prepare(bound.Data, bound.Seed, context.Error.WriteLine, context.Cancellation);
            others.Wait();
            if (others.IsWorker) return ExitCode.Done;
            foreach (var source in data.Statistics)
            {
                if (parsed.GetValue(json)) context.Out.WriteJson(ToJson(source));
                else WriteText(context.Out, source);
            }
            if (!parsed.GetValue(json)) context.Out.WriteLine($"prepared in {data.Folder}");
            return ExitCode.Done;
        });
    }

    private static JsonObject ToJson(SourceStatistics source) => new()
    {
        ["event"] = "source", ["path"] = source.Path, ["weight"] = source.Weight, ["documents"] = source.Documents, ["bytes"] = source.TextBytes, ["tokens"] = source.Tokens,
        ["held_out_documents"] = source.HeldOutDocuments, ["held_out_bytes"] = source.HeldOutBytes, ["held_out_tokens"] = source.HeldOutTokens,
        ["rejected"] = new JsonObject([.. source.Rejected.Select(pair => KeyValuePair.Create(pair.Key, (JsonNode?)pair.Value))]),
    };

    private static void WriteText(TextWriter output, SourceStatistics source)
    {
        output.WriteLine($"{source.Path} (weight {source.Weight:G})");
        output.WriteLine($"  training  {source.Documents,10:N0} documents {source.TextBytes,14:N0} bytes {source.Tokens,12:N0} tokens");
        output.WriteLine($"  held out  {source.HeldOutDocuments,10:N0} documents {source.HeldOutBytes,14:N0} bytes {source.HeldOutTokens,12:N0} tokens");
        foreach (var (reason, count) in source.Rejected) output.WriteLine($"  rejected  {count,10:N0} documents: {reason}");
    }
}
