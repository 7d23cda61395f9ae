using System.Text;
using Perennial.Data;
using Perennial.Models;
using Perennial.Models.Inference;

namespace Perennial.Experiments.Stages;

/// <summary>Whether a model goes on with a fact as the text had it.</summary>
internal static class Completion
{
    /// <summary>Whether the greedy continuation of a beginning is the given one.</summary>
    public static bool IsRight(ILanguageModel model, ITokenizer tokenizer, Exercise fact)
    {
        var (prompt, answer) = (new List<int>(), new List<int>());
        tokenizer.Encode(Encoding.UTF8.GetBytes(fact.Prompt), prompt);
        tokenizer.Encode(Encoding.UTF8.GetBytes(" " + fact.Answer), answer);
        prompt.Insert(0, tokenizer.EndOfText);
        return Generator.Generate(model, prompt, new GenerationOptions { Tokens = answer.Count, Temperature = 0, EndOfText = tokenizer.EndOfText }).SequenceEqual(answer);
    }
}
