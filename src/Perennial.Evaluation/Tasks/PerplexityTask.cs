using Perennial.Core;
using Perennial.Training.HeldOut;

namespace Perennial.Evaluation.Tasks;

/// <summary>Perplexity a token and, comparable across tokenizers, a word (words are what stands between white space).</summary>
[Component("perplexity")]
public sealed class PerplexityTask : IEvaluationTask
{
    /// <inheritdoc/>
    public IReadOnlyDictionary<string, double> Measure(EvaluationContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        var scores = context.Scores;
        var words = context.Text.Documents.Sum(document => Words.CountIn(context.Text.Tokenizer.Decode(document.Span)));
        return new Dictionary<string, double>
        {
            ["perplexity"] = scores.Perplexity,
            ["loss"] = scores.Loss,
            ["word_perplexity"] = words == 0 ? double.NaN : Math.Exp(scores.TotalNats / words),
        };
    }
}
