using System.CommandLine;
using System.Text.Json.Nodes;
using Perennial.Cli.Hosting;
using Perennial.Core;
using Perennial.Data;
using Perennial.Data.Inspection;
using Perennial.Data.Preparation;
using Perennial.Data.Streams;
using Perennial.Training.Recipes;

namespace Perennial.Cli.Commands.Data;

/// <summary><c>perennial data inspect</c>.</summary>
internal static class DataInspectCommand
{
    public static Command Create(CommandContext context)
    {
        var (recipe, set, json) = (DataCommand.RecipeArgument(), CommandExtensions.Set(), CommandExtensions.Json());
        var at = new Option<long>("--at") { Description = "First position in the training stream." };
        var count = new Option<int>("--count") { Description = "How many samples.", DefaultValueFactory = _ => 2 };
        return new Command("inspect", "Show the samples that training sees at given positions, with where they come from.") { recipe, set, at, count, json }.Does(parsed =>
        {
            if (parsed.GetValue(at) < 0 || parsed.GetValue(count) is < 1 or > 10_000) throw PerennialException.Usage("--at must be at least 0 and --count from 1 to 10000");
            var bound = new RecipeLoader(context.Components).Load(parsed.GetRequiredValue(recipe), parsed.GetValue(set));
            using var data = DataPreparation.Prepare(bound.Data, bound.Seed, context.Error.WriteLine, context.Cancellation);
            var time = bound.Model.Create().Describe(data.Tokenizer.VocabularySize, data.Tokenizer.EndOfText).Context;
            foreach (var window in DataInspector.Windows(data, new SampleStream(data, bound.Data, time, bound.Seed), parsed.GetValue(at), parsed.GetValue(count)))
            {
                if (parsed.GetValue(json)) context.Out.WriteJson(ToJson(window));
                else WriteText(context.Out, window);
            }
            return ExitCode.Done;
        });
    }

    private static JsonObject ToJson(InspectedWindow window) => new()
    {
        ["event"] = "sample", ["position"] = window.Position, ["sample_id"] = window.SampleId, ["source"] = window.Source, ["window"] = window.Window, ["epoch"] = window.Epoch,
        ["origins"] = new JsonArray([.. window.Origins.Select(origin => (JsonNode)new JsonObject { ["path"] = origin.Path, ["record"] = origin.Record, ["line"] = origin.Line })]),
        ["token_ids"] = new JsonArray([.. window.Ids.Select(id => (JsonNode)id)]), ["text"] = window.Text,
    };

    private static void WriteText(TextWriter output, InspectedWindow window)
    {
        output.WriteLine($"position {window.Position}: sample {window.SampleId}, window {window.Window} of source {window.Source}, pass {window.Epoch + 1}, from {string.Join(", ", window.Origins.Select(Place))}");
        output.WriteLine(window.Text);
        output.WriteLine();
    }

    private static string Place(Provenance origin) => $"{origin.Path}:{origin.Line}";
}
