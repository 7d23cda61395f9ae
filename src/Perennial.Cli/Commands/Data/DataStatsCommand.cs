using System.CommandLine;
using Perennial.Cli.Hosting;
using Perennial.Core;
using Perennial.Data.Inspection;
using Perennial.Data.Preparation;
using Perennial.Data.Streams;
using Perennial.Training.Recipes;

namespace Perennial.Cli.Commands.Data;

/// <summary><c>perennial data stats</c>.</summary>
internal static class DataStatsCommand
{
    public static Command Create(CommandContext context)
    {
        var (recipe, set, json) = (DataCommand.RecipeArgument(), CommandExtensions.Set(), CommandExtensions.Json());
        return new Command("stats", "What training will see: windows, passes, bytes a token, and every source's promised and delivered share.") { recipe, set, json }.Does(parsed =>
        {
            var bound = new RecipeLoader(context.Components).Load(parsed.GetRequiredValue(recipe), parsed.GetValue(set));
            using var data = DataPreparation.Prepare(bound.Data, bound.Seed, context.Error.WriteLine, context.Cancellation);
            var time = bound.Model.Create().Describe(data.Tokenizer.VocabularySize, data.Tokenizer.EndOfText).Context;
            var samples = bound.Training.TotalSteps((long)bound.Training.Batch * time) * bound.Training.Batch;
            var summary = DataSummary.Of(data, new SampleStream(data, bound.Data, time, bound.Seed), samples);
            if (parsed.GetValue(json))
            {
                var line = summary.ToJson();
                line.Insert(0, "event", "stats");
                line["samples"] = samples;
                context.Out.WriteJson(line);
                return ExitCode.Done;
            }
            context.Out.WriteLine($"{samples:N0} samples of {time} tokens, {samples / (double)Math.Max(1, summary.SamplesPerEpoch):F2} passes; {summary.BytesPerToken:F2} bytes a token, vocabulary {summary.Vocabulary:N0}");
            context.Out.WriteLine($"{"windows",12} {"promised",9} {"delivered",10}  source");
            foreach (var source in summary.Sources) context.Out.WriteLine($"{source.Windows,12:N0} {source.Promised,9:P2} {source.Delivered,10:P2}  {source.Statistics.Path}");
            return ExitCode.Done;
        });
    }
}
