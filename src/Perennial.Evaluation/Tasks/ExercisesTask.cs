using System.Text;
using System.Text.Json;
using Perennial.Core;
using Perennial.Data;
using Perennial.Training.HeldOut;

namespace Perennial.Evaluation.Tasks;

/// <summary>Options of <see cref="ExercisesTask"/>.</summary>
public sealed record ExercisesOptions : IValidatedOptions
{
    /// <summary>
    /// JSON lines: <c>prompt</c> and <c>answer</c> (as the text has it, its leading space included), and where wanted <c>group</c> (a name) and <c>choices</c>
    /// (wrong answers).
    /// </summary>
    public required string Path { get; init; }

    /// <inheritdoc/>
    public IEnumerable<(string Key, string Problem)> Problems()
    {
        if (!File.Exists(Path)) yield return ("path", $"names a file of exercises; '{Path}' is none");
    }
}

/// <summary>Fixed exercises, by group: nats a token of the right answer, and the share answered right. An exercise with choices is right when its answer is likelier than every one of them, one without when the first choices, token after token, write the answer.</summary>
/// <remarks>Metrics <c>exercise_loss.GROUP</c> (nats an answer's token) and <c>exercise_accuracy.GROUP</c> (0 to 1). The loss moves where the accuracy still stands still, so look at both. Prompt and answer are encoded each by itself.</remarks>
[Component("exercises")]
public sealed class ExercisesTask(ExercisesOptions options) : IEvaluationTask
{
    private const string Default = "all";
    private (string Tokenizer, EvaluationText Text, IReadOnlyList<Place> Places)? encoded;

    /// <inheritdoc/>
    public IReadOnlyDictionary<string, double> Measure(EvaluationContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        var tokenizer = context.Text.Tokenizer;
        if (encoded?.Tokenizer != tokenizer.Fingerprint) encoded = Encode(tokenizer);
        var (_, text, places) = encoded.Value;
        var scores = new TextScorer().Score(context.Model, text);
        var metrics = new SortedDictionary<string, double>(StringComparer.Ordinal);
        foreach (var group in places.GroupBy(place => place.Group))
        {
            double nats = 0, tokens = 0, right = 0;
            foreach (var place in group)
            {
                var own = Nats(scores, place.First);
                nats += own;
                tokens += text.Documents[place.First].Length - text.Answers![place.First];
                right += (place.Count == 1 ? !scores.Greedy[place.First].AsSpan(text.Answers[place.First]).Contains(false) : Enumerable.Range(place.First + 1, place.Count - 1).All(other => Nats(scores, other) > own)) ? 1 : 0;
            }
            metrics[$"exercise_loss.{group.Key}"] = nats / tokens;
            metrics[$"exercise_accuracy.{group.Key}"] = right / group.Count();
        }
        return metrics;
    }

    private static double Nats(TextScores scores, int document)
    {
        var sum = 0.0;
        foreach (var nats in scores.Nats[document].AsSpan(scores.Text.Answers![document])) sum += nats;
        return sum;
    }

    private (string, EvaluationText, IReadOnlyList<Place>) Encode(ITokenizer tokenizer)
    {
        var (documents, answers, places) = (new List<ReadOnlyMemory<int>>(), new List<int>(), new List<Place>());
        var line = 0;
        foreach (var json in File.ReadLines(options.Path))
        {
            line++;
            if (string.IsNullOrWhiteSpace(json)) continue;
            var exercise = Read(json, line);
            places.Add(new(exercise.Group ?? Default, documents.Count, 1 + (exercise.Choices?.Count ?? 0)));
            foreach (var answer in (exercise.Choices ?? []).Prepend(exercise.Answer!))
            {
                var ids = new List<int>();
                tokenizer.Encode(Encoding.UTF8.GetBytes(exercise.Prompt!), ids);
                answers.Add(ids.Count);
                tokenizer.Encode(Encoding.UTF8.GetBytes(answer), ids);
                documents.Add(ids.ToArray());
            }
        }
        if (places.Count == 0) throw PerennialException.Usage($"{options.Path}: has no exercise");
        return (tokenizer.Fingerprint, new EvaluationText { Name = "exercises", Documents = documents, Answers = answers, Bytes = documents.Sum(ids => (long)tokenizer.Decode(ids.Span).Length), Tokenizer = tokenizer }, places);
    }

    private Exercise Read(string json, int line)
    {
        try
        {
            var exercise = JsonSerializer.Deserialize<Exercise>(json, JsonSerializerOptions.Web)!;
            return exercise is { Prompt: not null, Answer.Length: > 0 } && exercise.Choices?.Any(string.IsNullOrEmpty) is not true ? exercise
                : throw PerennialException.Usage($"{options.Path}:{line}: an exercise needs \"prompt\" and \"answer\", texts, and its choices must not be empty");
        }
        catch (JsonException error)
        {
            throw PerennialException.Usage($"{options.Path}:{line}: is no exercise: {error.Message.ReplaceLineEndings(" ")}");
        }
    }

    private sealed record Exercise(string? Prompt, string? Answer, string? Group, IReadOnlyList<string>? Choices);

    /// <summary>Documents of an exercise: its answer's, then those of its choices.</summary>
    private readonly record struct Place(string Group, int First, int Count);
}
