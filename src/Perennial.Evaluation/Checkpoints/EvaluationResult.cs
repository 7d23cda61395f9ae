using System.Text.Json.Nodes;
using Perennial.Data.Yardsticks;

namespace Perennial.Evaluation.Checkpoints;

/// <summary>What <c>perennial evaluate</c> found.</summary>
/// <param name="Checkpoint">The checkpoint's folder.</param>
/// <param name="Text">What the text is called.</param>
/// <param name="Bytes">Its UTF-8 bytes.</param>
/// <param name="Tokens">Its tokens, each scored once.</param>
/// <param name="Metrics">Name → value; <c>bits_per_byte</c> and <c>loss</c> are always there.</param>
/// <param name="Yardsticks">What compressors need for the same bytes.</param>
public sealed record EvaluationResult(
    string Checkpoint, string Text, long Bytes, long Tokens, IReadOnlyDictionary<string, double> Metrics, IReadOnlyList<Yardstick> Yardsticks)
{
    /// <summary>The one line of <c>evaluate --json</c>; numbers that are not finite become null.</summary>
    public JsonObject ToJson()
    {
        var json = new JsonObject { ["event"] = "evaluation", ["checkpoint"] = Checkpoint, ["text"] = Text, ["bytes"] = Bytes, ["tokens"] = Tokens };
        foreach (var (name, value) in Metrics.OrderBy(pair => pair.Key, StringComparer.Ordinal)) json[name] = double.IsFinite(value) ? value : null;
        json["yardsticks"] = Yardstick.ToJson(Yardsticks);
        return json;
    }
}
