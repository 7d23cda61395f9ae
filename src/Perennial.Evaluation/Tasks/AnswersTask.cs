using Perennial.Core;
using Perennial.Training.HeldOut;

namespace Perennial.Evaluation.Tasks;

/// <summary>Answers (what stands behind <c>data.answers</c>): the share written exactly by first choices, and nats a token; over all sources alike, and for each.</summary>
[Component("answers")]
public sealed class AnswersTask : IEvaluationTask
{
    /// <inheritdoc/>
    public IReadOnlyDictionary<string, double> Measure(EvaluationContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        var (text, scores) = (context.Text, context.Scores);
        var metrics = new Dictionary<string, double>();
        if (text.SourceOf is not { } sources || sources.Distinct().Count() < 2)
        {
            (metrics["answer_loss"], var share) = scores.Answers(_ => true);
            (metrics["answer_accuracy"], metrics["answer_error"]) = (share, 1 - share);
            return metrics;
        }
        foreach (var source in sources.Distinct().Order())
            (metrics[$"answer_loss.{source}"], metrics[$"answer_accuracy.{source}"]) = scores.Answers(document => sources[document] == source);
        // Every source counts alike, however much of it is held out.
        double Mean(string name) => metrics.Where(pair => pair.Key.StartsWith(name + ".", StringComparison.Ordinal)).Average(pair => pair.Value);
        var (loss, accuracy) = (Mean("answer_loss"), Mean("answer_accuracy"));
        (metrics["answer_loss"], metrics["answer_accuracy"], metrics["answer_error"]) = (loss, accuracy, 1 - accuracy);
        return metrics;
    }
}
