namespace Perennial.Training.HeldOut;

/// <summary>
/// One stretch of a document as the model reads it. The model's inputs are the document shifted right by one, with
/// end-of-text in front; input i predicts token i, so the first token of a document is scored after end-of-text.
/// </summary>
/// <param name="Document">Number of the document.</param>
/// <param name="First">First token that the window predicts.</param>
/// <param name="Length">Tokens the window predicts, at most the context.</param>
/// <param name="Scored">Of these, the first one that counts; those before it are context that another window scored.</param>
public readonly record struct TextWindow(int Document, int First, int Length, int Scored)
{
    /// <summary>Tokens that the window counts.</summary>
    public int Count => Length - Scored;

    /// <summary>
    /// Windows over documents such that every token counts exactly once, and each token but those near a document's
    /// beginning is predicted from at least <paramref name="overlap"/> tokens. A document's last window is moved left to be
    /// full, which only adds context.
    /// </summary>
    /// <param name="lengths">Tokens of each document.</param>
    /// <param name="context">The model's context.</param>
    /// <param name="overlap">Tokens of context carried into every further window, 0 … context − 1. The stride is context − overlap.</param>
    /// <exception cref="ArgumentOutOfRangeException">The overlap does not leave a token to score.</exception>
    public static IEnumerable<TextWindow> Plan(IEnumerable<int> lengths, int context, int overlap)
    {
        ArgumentNullException.ThrowIfNull(lengths);
        ArgumentOutOfRangeException.ThrowIfLessThan(context, 1);
        ArgumentOutOfRangeException.ThrowIfNegative(overlap);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(overlap, context);
        return Windows();

        IEnumerable<TextWindow> Windows()
        {
            var document = 0;
            foreach (var length in lengths)
            {
                for (var done = 0; done < length;)
                {
                    var end = done == 0 ? Math.Min(context, length) : Math.Min(done - overlap + context, length);
                    var first = Math.Max(0, end - context);
                    yield return new TextWindow(document, first, end - first, done - first);
                    done = end;
                }
                document++;
            }
        }
    }
}
