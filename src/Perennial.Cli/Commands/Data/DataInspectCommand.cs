using System.CommandLine;
using System.Text.Json.Nodes;
using Perennial.Cli.Hosting;
using Perennial.Core;
using Perennial.Data;
using Perennial.Data.Inspection;
using Perennial.Data.Preparation;
using Perennial.Data.Streams;
using Perennial.Training.Recipes;
using Perennial.Training.Runs;

namespace Perennial.Cli.Commands.Data;

/// <summary><c>perennial data inspect</c>.</summary>
internal static class DataInspectCommand
{
    public static Command Create(CommandContext context)
    {
        var (recipe, set, run, json) = (DataCommand.RecipeArgument(), CommandExtensions.Set(), DataCommand.Run(), CommandExtensions.Json());
        var at = new Option<long>("--at") { Description = "First position in the training stream." };
        var count = new Option<int>("--count") { Description = "How many samples.", DefaultValueFactory = _ => 2 };
        var samples = new Option<string?>("--samples") { Description = "FROM..TO: identities and provenance of these positions only, without text." };
        var ranks = new Option<int>("--ranks") { Description = "With --samples: tell also which of so many processes computes each.", DefaultValueFactory = _ => 1 };
        return new Command("inspect", "Show the samples that training sees at given positions, with where they come from.") { recipe, set, run, at, count, samples, ranks, json }.Does(parsed =>
        {
            if (parsed.GetValue(at) < 0 || parsed.GetValue(count) is < 1 or > 10_000) throw PerennialException.Usage("--at must be at least 0 and --count from 1 to 10000");
            var stretch = parsed.GetValue(samples) is { } text ? Stretch(text) : ((long From, long To)?)null;
            var bound = new RecipeLoader(context.Components).Load(parsed.GetRequiredValue(recipe), parsed.GetValue(set));
            if (parsed.GetValue(ranks) is < 1 or > 1_000_000) throw PerennialException.Usage("--ranks must be at least 1");
            using var data = RunSamples.Prepare(bound, context.Error.WriteLine, context.Cancellation);
            var stream = RunSamples.Of(bound, data, parsed.GetValue(run));
            if (stretch is { } wanted)
            {
                foreach (var sample in DataInspector.Samples(data, stream, wanted.From, wanted.To)) WriteSample(context.Out, stream, sample, Rank(sample.Position, bound.Training.Batch, parsed.GetValue(ranks)), parsed.GetValue(json));
                return ExitCode.Done;
            }
            foreach (var window in DataInspector.Windows(data, stream, parsed.GetValue(at), parsed.GetValue(count)))
            {
                if (parsed.GetValue(json)) context.Out.WriteJson(ToJson(window));
                else WriteText(context.Out, window);
            }
            return ExitCode.Done;
        });
    }

    private static (long From, long To) Stretch(string text)
    {
        var parts = text.Split("..");
        return parts.Length == 2 && Count.TryParse(parts[0], out var from) && Count.TryParse(parts[1], out var to) && from.Value >= 0 && to.Value > from.Value
            ? (from.Value, to.Value)
            : throw PerennialException.Usage($"--samples {text}: must be FROM..TO, such as 4096..5096 (TO is not shown)");
    }

    /// <summary>The process that computes a position: a step's rows are shared out in order.</summary>
    private static int Rank(long position, int batch, int ranks) => Enumerable.Range(0, ranks).First(rank => position % batch < (long)batch * (rank + 1) / ranks);

    private static void WriteSample(TextWriter output, SampleStream stream, InspectedSample sample, int rank, bool json)
    {
        if (json) output.WriteJson(new JsonObject
        {
            ["event"] = "sample", ["position"] = sample.Position, ["sample_id"] = sample.SampleId, ["source"] = sample.Source, ["window"] = sample.Window, ["epoch"] = sample.Epoch, ["rank"] = rank,
            ["origins"] = ToJson(sample.Origins),
            ["planted"] = new JsonArray([.. sample.Planted.Select(one => (JsonNode)new JsonObject { ["experiment"] = stream.Injections!.Experiments[one.Experiment].Name, ["text"] = one.Text, ["offset"] = one.Offset, ["tokens"] = one.Ids.Count })]),
        });
        else output.WriteLine($"{sample.Position} {sample.SampleId} source {sample.Source} window {sample.Window} pass {sample.Epoch + 1} rank {rank} {string.Join(", ", sample.Origins.Select(Place))}{string.Concat(sample.Planted.Select(one => $"; planted {stream.Injections!.Experiments[one.Experiment].Name} text {one.Text} at token {one.Offset}"))}");
    }

    private static JsonArray ToJson(IReadOnlyList<Provenance> origins) => [.. origins.Select(origin => (JsonNode)new JsonObject { ["path"] = origin.Path, ["record"] = origin.Record, ["line"] = origin.Line })];

    private static JsonObject ToJson(InspectedWindow window) => new()
    {
        ["event"] = "sample", ["position"] = window.Position, ["sample_id"] = window.SampleId, ["source"] = window.Source, ["window"] = window.Window, ["epoch"] = window.Epoch,
        ["origins"] = ToJson(window.Origins),
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
