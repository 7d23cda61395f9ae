using Perennial.Core;
using Perennial.Data;
using Perennial.Data.Preparation;
using Perennial.Models;
using Perennial.Training.HeldOut;

namespace Perennial.Training.Mixing;

/// <summary>
/// The held-out text of every source that an online mixture's losses are measured on (its answers, where <c>data.answers</c> is set): the same documents each time, without gradients, so that
/// the same weights of a model always give the same losses.
/// </summary>
public sealed class SourceProbe
{
    private readonly IReadOnlyList<EvaluationText?> texts;
    private readonly TextScorer scorer = new();

    /// <summary>Gathers the text.</summary>
    /// <exception cref="PerennialException">Exit 2: a source has no held-out text.</exception>
    public SourceProbe(PreparedData data, DataOptions options)
    {
        ArgumentNullException.ThrowIfNull(data);
        ArgumentNullException.ThrowIfNull(options);
        texts = [.. Enumerable.Range(0, data.HeldOut.Count).Select(source => options.Sources[source].Weight > 0 ? EvaluationText.ProbeOf(data, source, options) : null)];
        var empty = texts.Select((text, i) => (text, i)).FirstOrDefault(pair => pair.text?.Tokens == 0);
        if (empty.text is not null)
            throw PerennialException.Usage($"data.mixture: source '{data.Statistics[empty.i].Path}' has no held-out text to measure its loss on; raise data.holdout{(options.Probe > 0 ? " or data.probe" : "")}, or split the source finer");
    }

    /// <summary>Tokens that one measurement scores.</summary>
    public long Tokens => texts.Sum(text => text?.Tokens ?? 0);

    /// <summary>Present loss of every source, nats a target, <c>[sources]</c>; 0 for sources without weight, which take no part.</summary>
    public double[] Losses(ILanguageModel model) => [.. texts.Select(text => text is null ? 0 : scorer.Score(model, text).AnswerLoss)];
}
