using Perennial.Training.HeldOut;
using static TorchSharp.torch;

namespace Perennial.Training.Loop;

/// <summary>Scores held-out text during a run and remembers the newest figure of each kind of weights.</summary>
internal sealed class HeldOutService(RunParts parts, Action<RunEvent> tell) : IPracticeServices
{
    private readonly TextScorer scorer = new();

    /// <summary>Newest bits per byte of the raw weights; null before the first evaluation or without held-out text.</summary>
    public double? BitsPerByte { get; private set; }

    /// <inheritdoc/>
    public void Evaluate(string weights)
    {
        if (parts.Text is null) return;
        using var _ = no_grad();
        using var scope = NewDisposeScope();
        var context = new EvaluationContext(parts.Model, parts.Text, scorer);
        foreach (var (kind, task) in parts.Tasks)
        {
            var metrics = task.Measure(context);
            if (weights == "raw" && metrics.TryGetValue("bits_per_byte", out var bits)) BitsPerByte = bits;
            tell(new EvaluationDone(parts.State.Progress.Step, kind, weights, metrics));
        }
        if (weights == "raw" && BitsPerByte is null) BitsPerByte = context.Scores.BitsPerByte;
    }

    /// <inheritdoc/>
    public void Notify(string level, string message) => tell(new Notice(level, message));
}
