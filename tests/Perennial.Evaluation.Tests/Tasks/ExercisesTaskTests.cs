using System.Text;
using Perennial.Core;
using Perennial.Evaluation.Tasks;
using Perennial.Models;
using Perennial.Models.Inference;
using Perennial.Training.HeldOut;
using Decoder = Perennial.Models.Decoder;

namespace Perennial.Evaluation.Tests.Tasks;

/// <summary>Exercises against scores of each text by itself.</summary>
public class ExercisesTaskTests
{
    private static readonly ByteTokenizer Tokenizer = new();

    [Fact]
    public void Losses_are_those_of_the_answers_and_the_likelier_answer_is_right()
    {
        using var folder = new TemporaryFolder();
        using var model = Decoder.Fresh(new LlamaArchitecture(new LlamaOptions { Layers = 1, Width = 32, Heads = 2, Context = 48 }).Describe(Tokenizer.VocabularySize, Tokenizer.EndOfText), 3);
        (string Prompt, string Answer, string[] Choices)[] asked = [("one and one is", " two", [" three", " four"]), ("the sky is", " blue", [" green"]), ("", " plain", []), ("a b a", " b", [])];
        File.WriteAllLines(folder["asked.jsonl"], asked.Select((one, i) => System.Text.Json.JsonSerializer.Serialize(new { prompt = one.Prompt, answer = one.Answer, choices = one.Choices, group = i < 2 ? "chosen" : "written" })));
        var context = new EvaluationContext(model, EvaluationText.Of("text", [Encoding.UTF8.GetBytes("some text")], Tokenizer), new TextScorer());
        var metrics = new ExercisesTask(new ExercisesOptions { Path = folder["asked.jsonl"] }).Measure(context);

        Assert.Equal(asked.Take(2).Sum(one => Nats(one.Prompt, one.Answer)) / asked.Take(2).Sum(one => one.Answer.Length), metrics["exercise_loss.chosen"], 1e-4);
        Assert.Equal(asked.Take(2).Average(one => one.Choices.All(other => Nats(one.Prompt, other) > Nats(one.Prompt, one.Answer)) ? 1.0 : 0), metrics["exercise_accuracy.chosen"]);
        Assert.Equal(asked.Skip(2).Sum(one => Nats(one.Prompt, one.Answer)) / asked.Skip(2).Sum(one => one.Answer.Length), metrics["exercise_loss.written"], 1e-4);
        Assert.Equal(0, metrics["exercise_accuracy.written"]);

        double Nats(string prompt, string answer)
        {
            int[] ids = [Tokenizer.EndOfText, .. Encoding.UTF8.GetBytes(prompt + answer).Select(one => (int)one)];
            return -SequenceScorer.Score(model, ids)[(1 + prompt.Length)..].Sum(score => (double)score);
        }
    }

    [Fact]
    public void A_line_that_is_no_exercise_is_named()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllLines(folder["asked.jsonl"], ["{\"prompt\": \"a\", \"answer\": \" b\"}", "{\"prompt\": \"a\"}"]);
        using var model = Decoder.Fresh(new LlamaArchitecture(new LlamaOptions { Layers = 1, Width = 16, Heads = 1, Context = 16 }).Describe(Tokenizer.VocabularySize, Tokenizer.EndOfText), 3);
        var context = new EvaluationContext(model, EvaluationText.Of("text", [Encoding.UTF8.GetBytes("some text")], Tokenizer), new TextScorer());
        var error = Assert.Throws<PerennialException>(() => new ExercisesTask(new ExercisesOptions { Path = folder["asked.jsonl"] }).Measure(context));
        Assert.Equal(ExitCode.Usage, error.Code);
        Assert.Contains("asked.jsonl:2", error.Message, StringComparison.Ordinal);
        Assert.NotEmpty(new ExercisesOptions { Path = folder["nowhere.jsonl"] }.Problems());
    }
}
