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
}
