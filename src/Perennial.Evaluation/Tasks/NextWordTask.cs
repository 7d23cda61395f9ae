using Perennial.Core;
using Perennial.Training.HeldOut;

namespace Perennial.Evaluation.Tasks;

/// <summary>
/// How often the model's first choice, token after token, writes the next word of the text exactly; and how often its first choice
/// is the next token.
/// </summary>
[Component("next-word")]
public sealed class NextWordTask : IEvaluationTask
{
    /// <inheritdoc/>
    public IReadOnlyDictionary<string, double> Measure(EvaluationContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        var scores = context.Scores;
        long words = 0, written = 0, tokens = 0;
        for (var document = 0; document < scores.Greedy.Count; document++)
        {
            var greedy = scores.Greedy[document];
            tokens += greedy.LongCount(hit => hit);
            foreach (var (first, end) in Words.In(context.Text.Documents[document], context.Text.Tokenizer))
            {
                words++;
                if (!greedy.AsSpan(first, end - first).Contains(false)) written++;
            }
        }
        return new Dictionary<string, double>
        {
            ["next_word_accuracy"] = words == 0 ? double.NaN : (double)written / words,
            ["next_token_accuracy"] = (double)tokens / context.Text.Tokens,
        };
    }
}
