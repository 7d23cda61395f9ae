using Perennial.Core;
using Perennial.Data;
using Perennial.Models;
using static TorchSharp.torch;

namespace Perennial.Objectives;

/// <summary>
/// (batch, model) → loss. One micro-batch at a time: the loss it returns is the sum over its targets divided by
/// <c>normalizer</c>, so that accumulated gradients equal those of the whole batch.
/// </summary>
[ComponentRole("objective")]
public interface IObjective
{
    /// <summary>The loss, a float32 scalar with an autograd graph when gradients are enabled.</summary>
    /// <param name="model">The model.</param>
    /// <param name="batch">One micro-batch.</param>
    /// <param name="normalizer">What the summed loss is divided by: the whole step's number of targets.</param>
    Tensor Loss(ILanguageModel model, TokenBatch batch, double normalizer);

    /// <summary>How many targets of this batch take part in the loss.</summary>
    long Targets(TokenBatch batch);
}

/// <summary>
/// Marks an objective that reaches the unembedding only through <see cref="ILanguageModel.HeadWeight"/> with
/// <see cref="ILanguageModel.HeadShard"/>, and hidden states only by one <see cref="ILanguageModel.Hidden"/> a batch: it works where the
/// vocabulary is cut over processes and the model into stages. Others are refused there.
/// </summary>
public interface IVocabularyParallel : IObjective;
