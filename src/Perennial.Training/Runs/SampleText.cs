using System.Text;
using Perennial.Models;
using Perennial.Models.Inference;
using Perennial.Training.Loop;

namespace Perennial.Training.Runs;

/// <summary>Samples shown during training: the same seed every time, so that what changes is the model.</summary>
internal static class SampleText
{
    /// <summary>What the model (the trained one, unless another is given) goes on with.</summary>
    public static string Write(RunParts parts, string prompt, ILanguageModel? model = null)
    {
        var ids = new List<int>();
        parts.Data.Tokenizer.Encode(Encoding.UTF8.GetBytes(prompt), ids);
        if (ids.Count == 0) ids.Add(parts.Data.Tokenizer.EndOfText);
        var options = new GenerationOptions { Tokens = parts.Recipe.Evaluation.SampleTokens, Temperature = 0.8, TopP = 0.95, Seed = parts.Recipe.Seed, EndOfText = parts.Data.Tokenizer.EndOfText };
        return Encoding.UTF8.GetString(parts.Data.Tokenizer.Decode([.. Generator.Generate(model ?? parts.Model, ids, options)]));
    }
}
