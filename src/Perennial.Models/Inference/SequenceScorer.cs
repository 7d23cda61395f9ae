using static TorchSharp.torch;

namespace Perennial.Models.Inference;

/// <summary>
/// Natural-log probabilities of a token sequence as it stands: token i given tokens 0 … i − 1, so the first has none. A sequence
/// longer than the context is read in windows that overlap by half; every token but the first is scored once, from the
/// window that gives it the longer past.
/// </summary>
public static class SequenceScorer
{
    private const int LogitBytes = 64 << 20;

    /// <summary>The log-probability of every token; NaN for the first.</summary>
    /// <param name="model">The model.</param>
    /// <param name="ids">Token ids.</param>
    /// <exception cref="ArgumentException">An id is outside the vocabulary.</exception>
    public static float[] Score(ILanguageModel model, IReadOnlyList<int> ids)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(ids);
        if (ids.Any(id => id < 0 || id >= model.Config.Vocabulary)) throw new ArgumentException($"a token id is outside the vocabulary of {model.Config.Vocabulary}", nameof(ids));
        var scores = new float[ids.Count];
        if (ids.Count > 0) scores[0] = float.NaN;
        var context = model.Config.Context;
        var scored = 1;
        for (var start = 0; scored < ids.Count; start = Math.Min(start + Math.Max(1, context / 2), ids.Count - 1 - context))
        {
            var end = Math.Min(start + context, ids.Count - 1);
            Window(model, ids, start, end, scored, scores);
            scored = end + 1;
        }
        return scores;
    }

    /// <summary>Feeds tokens start … end − 1 and takes the scores of tokens <paramref name="from"/> … end.</summary>
    private static void Window(ILanguageModel model, IReadOnlyList<int> ids, int start, int end, int from, float[] scores)
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var tokens = tensor(Enumerable.Range(start, end - start).Select(i => (long)ids[i]).ToArray(), 1, end - start);
        var hidden = model.Hidden(new ModelInput(tokens, null)).to_type(ScalarType.Float32).reshape(end - start, -1);
        var head = model.HeadWeight().to_type(ScalarType.Float32).t();
        var rows = Math.Max(1, LogitBytes / (sizeof(float) * model.Config.Vocabulary));
        for (var first = from; first <= end; first += rows)
        {
            using var chunk = NewDisposeScope();
            var count = Math.Min(rows, end + 1 - first);
            // The position before a token predicts it.
            var logits = hidden.narrow(0, first - 1 - start, count).matmul(head);
            var target = tensor(Enumerable.Range(first, count).Select(i => (long)ids[i]).ToArray(), count, 1);
            (logits.gather(1, target).squeeze(1) - logits.logsumexp(1)).data<float>().CopyTo(scores, first);
        }
    }
}
