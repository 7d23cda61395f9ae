using Perennial.Core;
using Perennial.Models;

namespace Perennial.Training.HeldOut;

/// <summary>What a task may look at. The text is scored at most once, however many tasks ask.</summary>
/// <param name="model">The model.</param>
/// <param name="text">The text.</param>
/// <param name="score">Scores the text.</param>
public sealed class EvaluationContext(ILanguageModel model, EvaluationText text, Func<TextScores> score)
{
    private readonly Lazy<TextScores> scores = new(score);

    /// <summary>A context whose text is scored by a scorer.</summary>
    public EvaluationContext(ILanguageModel model, EvaluationText text, TextScorer scorer) : this(model, text, () => scorer.Score(model, text))
    {
    }

    /// <summary>The model.</summary>
    public ILanguageModel Model { get; } = model;

    /// <summary>The text.</summary>
    public EvaluationText Text { get; } = text;

    /// <summary>What the model thinks of every token.</summary>
    public TextScores Scores => scores.Value;
}

/// <summary>Measures a model; chosen by <c>evaluation.tasks</c> and <c>perennial evaluate --tasks</c>. Constructor services: none.</summary>
[ComponentRole("task")]
public interface IEvaluationTask
{
    /// <summary>Name → value in snake case, such as <c>bits_per_byte</c>. Higher or lower is better as the name says.</summary>
    IReadOnlyDictionary<string, double> Measure(EvaluationContext context);
}
