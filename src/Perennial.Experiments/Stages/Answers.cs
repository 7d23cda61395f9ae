using System.Text;
using Perennial.Data;
using Perennial.Models;
using Perennial.Models.Inference;

namespace Perennial.Experiments.Stages;

/// <summary>A prompt and the answer that is right.</summary>
/// <param name="Prompt">What is given, the separator included.</param>
/// <param name="Answer">What must follow.</param>
internal sealed record Exercise(string Prompt, string Answer)
{
    /// <summary>Ends a prompt.</summary>
    public const string Separator = " =>";

    /// <summary>Prompt and answer as one document.</summary>
    public string Document => Prompt + Separator + " " + Answer;
}

/// <summary>Greedy answers of a model, compared word for word.</summary>
internal static class Answers
{
    /// <summary>Share of exercises whose greedy answer is right as a whole.</summary>
    public static double Accuracy(ILanguageModel model, ITokenizer tokenizer, IReadOnlyList<Exercise> exercises) =>
        exercises.Average(exercise => Of(model, tokenizer, exercise) == exercise.Answer ? 1.0 : 0.0);

    /// <summary>The model's greedy answer, as long as the right one and up to an end of text.</summary>
    public static string Of(ILanguageModel model, ITokenizer tokenizer, Exercise exercise)
    {
        var (prompt, answer) = (new List<int>(), new List<int>());
        tokenizer.Encode(Encoding.UTF8.GetBytes(exercise.Prompt + Exercise.Separator), prompt);
        tokenizer.Encode(Encoding.UTF8.GetBytes(" " + exercise.Answer), answer);
        // A document begins after an end of text, as in training.
        prompt.Insert(0, tokenizer.EndOfText);
        int[] ids = [.. Generator.Generate(model, prompt, new GenerationOptions { Tokens = answer.Count, Temperature = 0, EndOfText = tokenizer.EndOfText })];
        return Encoding.UTF8.GetString(tokenizer.Decode(ids)).Trim();
    }
}
