namespace Perennial.Training.HeldOut;

/// <summary>What a model thought of every token of a text.</summary>
/// <param name="Text">The text.</param>
/// <param name="Nats">By document: minus the natural logarithm of each token's probability given what precedes it.</param>
/// <param name="Greedy">By document: whether the token was the model's first choice.</param>
public sealed record TextScores(EvaluationText Text, IReadOnlyList<float[]> Nats, IReadOnlyList<bool[]> Greedy)
{
    /// <summary>Nats of the whole text, summed in double in token order.</summary>
    public double TotalNats { get; } = Nats.Sum(document => document.Sum(nats => (double)nats));

    /// <summary>Mean nats a token.</summary>
    public double Loss => TotalNats / Text.Tokens;

    /// <summary>Bits a UTF-8 byte: nats / ln 2 / bytes. What a compressor driven by the model would need.</summary>
    public double BitsPerByte => TotalNats / Math.Log(2) / Text.Bytes;

    /// <summary>Perplexity a token, e^loss.</summary>
    public double Perplexity => Math.Exp(Loss);

    /// <summary>Mean nats of the tokens that are answers; of all tokens where everything counts.</summary>
    public double AnswerLoss => Answers(_ => true).Loss;

    /// <summary>Loss and exact answers over some documents.</summary>
    /// <param name="takes">Which documents, by number.</param>
    /// <returns>Mean nats an answer's token, and the share of answers that the first choices, token after token, write exactly. NaN where there is none.</returns>
    public (double Loss, double Accuracy) Answers(Func<int, bool> takes)
    {
        ArgumentNullException.ThrowIfNull(takes);
        var (nats, tokens, exact, answers) = (0.0, 0L, 0L, 0L);
        for (var document = 0; document < Nats.Count; document++)
        {
            var start = Text.Answers?[document] ?? 0;
            if (!takes(document) || start >= Nats[document].Length) continue;
            for (var i = start; i < Nats[document].Length; i++) nats += Nats[document][i];
            tokens += Nats[document].Length - start;
            answers++;
            if (!Greedy[document].AsSpan(start).Contains(false)) exact++;
        }
        return (nats / tokens, exact / (double)answers);
    }
}
