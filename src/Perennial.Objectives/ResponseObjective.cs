using System.Text;
using Perennial.Core;
using Perennial.Data;
using Perennial.Models;
using static TorchSharp.torch;

namespace Perennial.Objectives;

/// <summary>Options of <see cref="ResponseObjective"/>.</summary>
public sealed record ResponseOptions : IValidatedOptions
{
    /// <summary>What stands between a prompt and its response; the last token of its encoding must not occur in prompts.</summary>
    public string After { get; init; } = "";

    /// <inheritdoc/>
    public IEnumerable<(string Key, string Problem)> Problems()
    {
        if (After.Length == 0) yield return ("after", "is needed: the text between a prompt and its response, such as \"=>\"");
    }
}

/// <summary>
/// Next-token prediction of responses alone: only targets after the separator count, in each document (instruction tuning). Documents
/// should be separate (<c>data.documents: separate</c>); the part of a document before its separator, or a rest without one, is only read.
/// </summary>
[Component("response")]
public sealed class ResponseObjective : IObjective
{
    private readonly CausalObjective causal = new();
    private readonly int separator, endOfText;

    /// <summary>Finds the separator's token.</summary>
    /// <exception cref="PerennialException">Exit 2: the separator encodes to nothing.</exception>
    public ResponseObjective(ResponseOptions options, ITokenizer tokenizer)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(tokenizer);
        var ids = new List<int>();
        tokenizer.Encode(Encoding.UTF8.GetBytes(options.After), ids);
        if (ids.Count == 0) throw PerennialException.Usage($"objective.after: '{options.After}' is no token");
        (separator, endOfText) = (ids[^1], tokenizer.EndOfText);
    }

    /// <inheritdoc/>
    public Tensor Loss(ILanguageModel model, TokenBatch batch, double normalizer) => causal.Loss(model, Masked(batch), normalizer);

    /// <inheritdoc/>
    public long Targets(TokenBatch batch) => Masked(batch).Targets.LongCount(target => target != TokenBatch.Ignored);

    private TokenBatch Masked(TokenBatch batch)
    {
        ArgumentNullException.ThrowIfNull(batch);
        var targets = (long[])batch.Targets.Clone();
        for (var row = 0; row < batch.Rows; row++)
        {
            var responds = false;
            for (var i = row * batch.Time; i < (row + 1) * batch.Time; i++)
            {
                var begins = i == row * batch.Time || (batch.Segments is { } segments && segments[i] != segments[i - 1]) || batch.Inputs[i] == endOfText;
                responds = (responds && !begins) || batch.Inputs[i] == separator;
                if (!responds) targets[i] = TokenBatch.Ignored;
            }
        }
        return batch with { Targets = targets };
    }
}
