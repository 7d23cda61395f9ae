using System.CommandLine;
using System.Text.Json.Nodes;
using Perennial.Cli.Hosting;
using Perennial.Core;
using Perennial.Data.Inspection;
using Perennial.Data.Preparation;
using Perennial.Data.Streams;
using Perennial.Training.Recipes;

namespace Perennial.Cli.Commands.Data;

/// <summary><c>perennial data trace</c>.</summary>
internal static class DataTraceCommand
{
    public static Command Create(CommandContext context)
    {
        var (recipe, set, json) = (DataCommand.RecipeArgument(), CommandExtensions.Set(), CommandExtensions.Json());
        var at = new Option<long>("--at") { Description = "Position in the training stream." };
        return new Command("trace", "From a training sample back to files and byte ranges: every document of the window, with the stretch of it that the window holds.") { recipe, set, at, json }.Does(parsed =>
        {
            if (parsed.GetValue(at) < 0) throw PerennialException.Usage("--at must be at least 0");
            var bound = new RecipeLoader(context.Components).Load(parsed.GetRequiredValue(recipe), parsed.GetValue(set));
            using var data = DataPreparation.Prepare(bound.Data, bound.Seed, context.Error.WriteLine, context.Cancellation);
            var time = bound.Model.Create().Describe(data.Tokenizer.VocabularySize, data.Tokenizer.EndOfText).Context;
            foreach (var one in SampleTrace.Of(data, new SampleStream(data, bound.Data, time, bound.Seed), parsed.GetValue(at)))
            {
                if (parsed.GetValue(json)) context.Out.WriteJson(ToJson(one));
                else WriteText(context.Out, one);
            }
            return ExitCode.Done;
        });
    }

    private static JsonObject ToJson(TracedStretch one) => new()
    {
        ["event"] = "stretch", ["window_token"] = one.WindowToken, ["tokens"] = one.Tokens, ["path"] = one.Origin.Path, ["record"] = one.Origin.Record, ["line"] = one.Origin.Line,
        ["document_offset"] = one.Origin.Offset, ["document_bytes"] = one.Origin.Bytes, ["text_offset"] = one.TextOffset, ["text_bytes"] = one.TextBytes, ["file_offset"] = one.FileOffset, ["verified"] = one.Verified, ["text"] = one.Text,
    };

    private static void WriteText(TextWriter output, TracedStretch one)
    {
        output.WriteLine($"tokens {one.WindowToken}–{one.WindowToken + one.Tokens - 1}: {one.Origin.Path}:{one.Origin.Line}, record {one.Origin.Record}, bytes {one.Origin.Offset}–{one.Origin.Offset + one.Origin.Bytes - 1}");
        output.WriteLine(one.FileOffset is { } offset ? $"  this stretch is bytes {offset}–{offset + one.TextBytes - 1} of the file; {(one.Verified ? "the file holds exactly this text there" : "the file cannot be compared")}" : $"  this stretch is bytes {one.TextOffset}–{one.TextOffset + one.TextBytes - 1} of the document's text, which differs from the file's (unescaped, extracted or filtered)");
        output.WriteLine(one.Text);
        output.WriteLine();
    }
}
