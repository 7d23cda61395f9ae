using Perennial.Models;
using static TorchSharp.torch;

namespace Perennial.Training.HeldOut;

/// <summary>
/// Scores every token of a text once, without gradients. Batches are a pure function of the text and the model's
/// configuration, and sums run in double in token order: the same weights always give the same figure.
/// </summary>
/// <param name="overlap">Share of the context that each further window carries as mere context, 0 (fast) to below 1; 0.5 is fair to long texts.</param>
/// <param name="tokensPerBatch">Tokens of one forward pass; as many as a micro-batch of training has, so that its memory is used again.</param>
/// <param name="logitBytes">Bound on the logits held at one time; the full logits never exist.</param>
public sealed class TextScorer(double overlap = 0, int tokensPerBatch = 2048, long logitBytes = 32 << 20)
{
    /// <summary>Scores a text.</summary>
    /// <exception cref="ArgumentException">The text has no token.</exception>
    public TextScores Score(ILanguageModel model, EvaluationText text)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(text);
        if (text.Tokens == 0) throw new ArgumentException($"'{text.Name}' has no token to score", nameof(text));
        var context = model.Config.Context;
        var nats = text.Documents.Select(document => new float[document.Length]).ToArray();
        var greedy = text.Documents.Select(document => new bool[document.Length]).ToArray();
        var windows = TextWindow.Plan(text.Documents.Select(document => document.Length), context, (int)(Math.Clamp(overlap, 0, 1) * (context - 1)));
        // Windows of like width share a batch, so that short documents are not padded to the whole context.
        foreach (var group in windows.GroupBy(window => Padded(window.Length, context)).OrderBy(group => group.Key))
            foreach (var batch in group.Chunk(Math.Max(1, tokensPerBatch / group.Key)))
                ScoreBatch(model, text, batch, group.Key, nats, greedy);
        return new TextScores(text, nats, greedy);
    }

    private static int Padded(int length, int context)
    {
        var width = 32;
        while (width < length) width *= 2;
        return Math.Min(width, context);
    }

    private void ScoreBatch(ILanguageModel model, EvaluationText text, TextWindow[] batch, int width, float[][] nats, bool[][] greedy)
    {
        var inputs = new long[batch.Length * width];
        var positions = new List<long>();
        var targets = new List<long>();
        Array.Fill(inputs, text.Tokenizer.EndOfText);
        for (var row = 0; row < batch.Length; row++)
        {
            var window = batch[row];
            var tokens = text.Documents[window.Document].Span;
            for (var t = 0; t < window.Length; t++)
            {
                var at = window.First + t;
                if (at > 0) inputs[row * width + t] = tokens[at - 1];
                if (t < window.Scored) continue;
                positions.Add(row * width + t);
                targets.Add(tokens[at]);
            }
        }

        var losses = new float[targets.Count];
        var hits = new bool[targets.Count];
        using (no_grad())
        using (NewDisposeScope())
        {
            var hidden = model.Hidden(new ModelInput(tensor(inputs, batch.Length, width), null));
            var head = model.HeadWeight().to_type(ScalarType.Float32).t();
            var flat = hidden.reshape(-1, hidden.shape[^1]);
            var rows = (int)Math.Clamp(logitBytes / (sizeof(float) * head.shape[1]), 1, targets.Count);
            for (var start = 0; start < targets.Count; start += rows)
            {
                using var chunkScope = NewDisposeScope();
                var count = Math.Min(rows, targets.Count - start);
                var index = tensor(positions.GetRange(start, count).ToArray());
                var target = tensor(targets.GetRange(start, count).ToArray());
                var logits = flat.index_select(0, index).to_type(ScalarType.Float32).matmul(head);
                var loss = logits.logsumexp(1) - logits.gather(1, target.unsqueeze(1)).squeeze(1);
                loss.data<float>().CopyTo(losses, start);
                logits.argmax(1).eq(target).data<bool>().CopyTo(hits, start);
            }
        }

        var next = 0;
        foreach (var window in batch)
        {
            losses.AsSpan(next, window.Count).CopyTo(nats[window.Document].AsSpan(window.First + window.Scored));
            hits.AsSpan(next, window.Count).CopyTo(greedy[window.Document].AsSpan(window.First + window.Scored));
            next += window.Count;
        }
    }
}
