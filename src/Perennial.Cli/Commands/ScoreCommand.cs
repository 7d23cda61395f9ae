using System.CommandLine;
using System.Text;
using System.Text.Json.Nodes;
using Perennial.Cli.Hosting;
using Perennial.Core;
using Perennial.Evaluation.Checkpoints;
using Perennial.Models.Inference;
using Perennial.Tensors;

namespace Perennial.Cli.Commands;

/// <summary><c>perennial score</c>.</summary>
internal static class ScoreCommand
{
    public static Command Create(CommandContext context)
    {
        var path = new Argument<string>("CHECKPOINT") { Description = "A run folder, a checkpoint, or a Hugging Face folder." };
        var text = new Option<string>("--text") { Description = "The file to score, taken byte for byte.", Required = true };
        var json = CommandExtensions.Json();
        return new Command("score", "Token ids and natural-log probabilities of a text. The first token has no past and no probability.") { path, text, json }.Does(parsed =>
        {
            var file = parsed.GetRequiredValue(text);
            if (!File.Exists(file)) throw PerennialException.Usage($"--text {file}: no such file");
            TorchRuntime.Initialize();
            using var model = LoadedCheckpoint.Open(parsed.GetRequiredValue(path), context.Error.WriteLine);
            var ids = new List<int>();
            model.Tokenizer.Encode(File.ReadAllBytes(file), ids);
            if (ids.Count == 0) throw PerennialException.Usage($"--text {file}: is empty");
            var scores = SequenceScorer.Score(model.Model, ids);
            var total = scores.Skip(1).Sum(score => (double)score);
            if (parsed.GetValue(json))
            {
                context.Out.WriteJson(new JsonObject
                {
                    ["event"] = "score",
                    ["checkpoint"] = model.Folder,
                    ["token_ids"] = new JsonArray([.. ids.Select(id => (JsonNode)JsonValue.Create(id))]),
                    ["log_probabilities"] = new JsonArray([.. scores.Select((score, i) => i == 0 ? null : (JsonNode)JsonValue.Create(score))]),
                    ["total_log_probability"] = total,
                });
                return ExitCode.Done;
            }
            for (var i = 0; i < ids.Count; i++)
                context.Out.WriteLine($"{ids[i],8}  {(i == 0 ? "        " : $"{scores[i],8:F4}")}  {Show(model.Tokenizer.Decode([ids[i]]))}");
            context.Out.WriteLine($"total {total:F4} nats over {ids.Count - 1} tokens");
            return ExitCode.Done;
        });
    }

    private static string Show(byte[] bytes) => Encoding.UTF8.GetString(bytes).Replace("\n", "\\n", StringComparison.Ordinal).Replace("\r", "\\r", StringComparison.Ordinal);
}
