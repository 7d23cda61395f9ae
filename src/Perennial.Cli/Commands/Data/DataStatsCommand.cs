using System.CommandLine;
using System.Text.Json.Nodes;
using Perennial.Cli.Hosting;
using Perennial.Core;
using Perennial.Data.Inspection;
using Perennial.Data.Preparation;
using Perennial.Training.Recipes;
using Perennial.Training.Runs;

namespace Perennial.Cli.Commands.Data;

/// <summary><c>perennial data stats</c>.</summary>
internal static class DataStatsCommand
{
    public static Command Create(CommandContext context)
    {
        var (recipe, set, run, json) = (DataCommand.RecipeArgument(), CommandExtensions.Set(), DataCommand.Run(), CommandExtensions.Json());
        return new Command("stats", "What training will see: windows, passes, bytes a token, and every source's promised and delivered share.") { recipe, set, run, json }.Does(parsed =>
        {
            var bound = new RecipeLoader(context.Components).Load(parsed.GetRequiredValue(recipe), parsed.GetValue(set));
            using var data = RunSamples.Prepare(bound, context.Error.WriteLine, context.Cancellation);
            var stream = RunSamples.Of(bound, data, parsed.GetValue(run));
            var planned = bound.Training.TotalSteps((long)bound.Training.Batch * stream.Time) * bound.Training.Batch;
            var samples = stream.Mixture.IsOnline ? Math.Min(planned, stream.Decided) : planned;
            if (samples == 0) throw PerennialException.Usage("the mixture follows losses, so only a run knows its shares; name one with --run");
            var summary = DataSummary.Of(data, stream, samples);
            if (parsed.GetValue(json))
            {
                var line = summary.ToJson();
                line.Insert(0, "event", "stats");
                line["samples"] = samples;
                if (stream.Injections is { } plan)
                    line["injections"] = new JsonArray([.. plan.Experiments.Select((experiment, i) => (JsonNode)new JsonObject { ["name"] = experiment.Name, ["copies"] = plan.Copies[i], ["tokens"] = plan.Tokens[i], ["dropped"] = plan.Dropped[i], ["share"] = plan.Tokens[i] / (double)(planned * stream.Time) })]);
                context.Out.WriteJson(line);
                return ExitCode.Done;
            }
            context.Out.WriteLine($"{samples:N0} samples of {stream.Time} tokens, {samples / (double)Math.Max(1, summary.SamplesPerEpoch):F2} passes; {summary.BytesPerToken:F2} bytes a token, vocabulary {summary.Vocabulary:N0}");
            context.Out.WriteLine($"{"windows",12} {"promised",9} {"delivered",10} {"passes",7} {"padding",8}  source");
            foreach (var source in summary.Sources) context.Out.WriteLine($"{source.Windows,12:N0} {source.Promised,9:P2} {source.Delivered,10:P2} {source.Epochs,7:F2} {source.Padding,8:P2}  {source.Statistics.Path}");
            for (var i = 0; i < (stream.Injections?.Experiments.Count ?? 0); i++)
                context.Out.WriteLine($"planted: {stream.Injections!.Experiments[i].Name}, {stream.Injections.Copies[i]:N0} copies, {stream.Injections.Tokens[i]:N0} tokens ({stream.Injections.Tokens[i] / (double)(planned * stream.Time):P2} of the run), {stream.Injections.Dropped[i]} texts left out (empty or longer than a window)");
            return ExitCode.Done;
        });
    }
}
