using Perennial.Core;
using Perennial.Training.HeldOut;

namespace Perennial.Evaluation.Tasks;

/// <summary>Bits a UTF-8 byte of the text costs: what a compressor driven by the model would need. Comparable across tokenizers.</summary>
[Component("bits-per-byte")]
public sealed class BitsPerByteTask : IEvaluationTask
{
    /// <inheritdoc/>
    public IReadOnlyDictionary<string, double> Measure(EvaluationContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        return new Dictionary<string, double> { ["bits_per_byte"] = context.Scores.BitsPerByte, ["loss"] = context.Scores.Loss };
    }
}
