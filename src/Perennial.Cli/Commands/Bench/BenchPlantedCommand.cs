using System.CommandLine;
using System.Text.Json.Nodes;
using Perennial.Cli.Hosting;
using Perennial.Core;
using Perennial.Data;
using Perennial.Data.Planting;

namespace Perennial.Cli.Commands.Bench;

/// <summary><c>perennial bench planted</c>.</summary>
internal static class BenchPlantedCommand
{
    public static Command Create(CommandContext context)
    {
        var seed = new Option<ulong>("--seed") { Description = "Key of everything that is planted.", DefaultValueFactory = _ => 1 };
        var documents = new Option<int>("--documents") { Description = "Clean documents; defects come in proportion.", DefaultValueFactory = _ => 600 };
        var text = new Option<string>("--text") { Description = "English prose that documents are made of.", DefaultValueFactory = _ => Path.Combine("corpus", "austen") };
        var keep = new Option<string?>("--keep") { Description = "Folder that keeps the corpus, the truth and what every operator made of it." };
        var json = CommandExtensions.Json();
        return new Command("planted", "A corpus with planted defects: precision and recall of every operator against the truth.") { seed, documents, text, keep, json }.Does(parsed =>
        {
            if (parsed.GetValue(documents) is < 20 or > 100_000) throw PerennialException.Usage("--documents must be from 20 to 100000");
            var paragraphs = PlantedParagraphs.Read(parsed.GetValue(text)!, context.Cancellation);
            var kept = parsed.GetValue(keep);
            if (kept is not null && Directory.Exists(kept) && Directory.EnumerateFileSystemEntries(kept).Any()) throw PerennialException.Usage($"{kept}: is not empty");
            var folder = kept ?? Directory.CreateTempSubdirectory("perennial-planted-").FullName;
            try
            {
                var holds = true;
                if (!parsed.GetValue(json)) context.Out.WriteLine($"{"operator",-44} {"planted",8} {"found",8} {"flagged",8} {"recall",8} {"precision",10}");
                foreach (var score in PlantedMeasure.Run(PlantedCorpus.Make(parsed.GetValue(seed), parsed.GetValue(documents), paragraphs), folder, context.Cancellation))
                {
                    holds &= score.Holds;
                    if (parsed.GetValue(json))
                        context.Out.WriteJson(new JsonObject { ["event"] = "planted", ["operator"] = score.Operator, ["planted"] = score.Planted, ["found"] = score.Found, ["flagged"] = score.Flagged, ["right"] = score.Right, ["recall"] = score.Recall, ["precision"] = score.Precision, ["holds"] = score.Holds });
                    else
                        context.Out.WriteLine($"{score.Operator,-44} {score.Planted,8:N0} {score.Found,8:N0} {score.Flagged,8:N0} {score.Recall,8:F4} {score.Precision,10:F4}   limits {score.Limit:F2} and {score.PrecisionLimit:F2}: {(score.Holds ? "hold" : "do not hold")}");
                }
                return holds ? ExitCode.Done : ExitCode.Failed;
            }
            finally
            {
                if (kept is null) Directory.Delete(folder, recursive: true);
            }
        });
    }
}
