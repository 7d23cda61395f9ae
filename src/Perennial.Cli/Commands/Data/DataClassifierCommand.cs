using System.CommandLine;
using System.Text.Json.Nodes;
using Perennial.Cli.Hosting;
using Perennial.Core;
using Perennial.Data;
using Perennial.Data.Filters;
using Perennial.Data.Sources;

namespace Perennial.Cli.Commands.Data;

/// <summary><c>perennial data classifier</c>.</summary>
internal static class DataClassifierCommand
{
    private const int Tenth = 10;

    public static Command Create(CommandContext context)
    {
        var positive = new Option<string[]>("--positive") { Description = "Texts of the class that scores high: files, folders or globs.", Required = true };
        var negative = new Option<string[]>("--negative") { Description = "Texts of the other class.", Required = true };
        var output = new Option<string>("--out") { Description = "The model's file.", Required = true };
        var (bits, ngram, passes) = (new Option<int>("--bits") { Description = "Logarithm of the number of hash buckets.", DefaultValueFactory = _ => 18 }, new Option<int>("--ngram") { Description = "Longest n-gram of words.", DefaultValueFactory = _ => 2 }, new Option<int>("--passes") { Description = "Passes over the texts.", DefaultValueFactory = _ => 5 });
        var json = CommandExtensions.Json();
        return new Command("classifier", "Train a classifier of documents (quality, toxicity …) for the operator 'classifier'; a tenth of the texts tests it.") { positive, negative, output, bits, ngram, passes, json }.Does(parsed =>
        {
            if (parsed.GetValue(bits) is < 8 or > 28 || parsed.GetValue(ngram) is < 1 or > 5 || parsed.GetValue(passes) is < 1 or > 1000) throw PerennialException.Usage("--bits must be from 8 to 28, --ngram from 1 to 5, --passes from 1 to 1000");
            var (high, low) = (Read(parsed.GetRequiredValue(positive), context), Read(parsed.GetRequiredValue(negative), context));
            if (high.Count < Tenth || low.Count < Tenth) throw PerennialException.Usage($"a classifier needs at least {Tenth} documents of each class; found {high.Count} and {low.Count}");
            ReadOnlyMemory<byte>[] Part(List<ReadOnlyMemory<byte>> texts, bool test) => [.. texts.Where((_, i) => i % Tenth == 0 == test)];
            var model = LinearClassifier.Train(Part(high, false), Part(low, false), parsed.GetValue(bits), parsed.GetValue(ngram), parsed.GetValue(passes));
            var (right, wrong) = (Part(high, true).Select(text => model.Score(text.Span)).ToList(), Part(low, true).Select(text => model.Score(text.Span)).ToList());
            model.Save(parsed.GetRequiredValue(output));
            var (recall, specificity) = (right.Count(score => score > 0.5) / (double)right.Count, wrong.Count(score => score <= 0.5) / (double)wrong.Count);
            if (parsed.GetValue(json)) context.Out.WriteJson(new JsonObject { ["event"] = "done", ["positive"] = high.Count, ["negative"] = low.Count, ["recall"] = recall, ["specificity"] = specificity, ["balanced_accuracy"] = (recall + specificity) / 2 });
            else context.Out.WriteLine($"{high.Count:N0} against {low.Count:N0} texts; on the tenth kept apart: {recall:P1} of the first class found, {specificity:P1} of the other left alone; written to {parsed.GetRequiredValue(output)}");
            return ExitCode.Done;
        });
    }

    private static List<ReadOnlyMemory<byte>> Read(string[] paths, CommandContext context) =>
        [.. paths.SelectMany(path => DocumentSource.Read(new SourceOptions { Path = path, Split = TextSplit.Paragraph }, context.Cancellation).ToBlockingEnumerable(context.Cancellation)).Select(document => document.Text)];
}
