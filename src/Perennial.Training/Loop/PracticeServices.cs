using Perennial.Data;

namespace Perennial.Training.Loop;

/// <summary>What the loop does for practices.</summary>
/// <param name="parts">The run.</param>
/// <param name="evaluate">Scores the present weights under a name.</param>
/// <param name="pass">Gradients of batches.</param>
/// <param name="tell">Told of everything.</param>
internal sealed class PracticeServices(RunParts parts, Action<string> evaluate, GradientPass pass, Action<RunEvent> tell) : IPracticeServices
{
    /// <inheritdoc/>
    public void Evaluate(string weights) => evaluate(weights);

    /// <inheritdoc/>
    public void Notify(string level, string message) => tell(new Notice(level, message));

    /// <inheritdoc/>
    public void Measure(string what, IReadOnlyDictionary<string, double> figures) => tell(new EvaluationDone(parts.State.Progress.Step, what, what, figures));

    /// <inheritdoc/>
    public TokenBatch ReadSamples(IReadOnlyList<long> ids) => parts.Stream.ReadSamples(ids);

    /// <inheritdoc/>
    public long SampleAt(int stage, long position) => parts.Stages[stage].Stream.SampleAt(position);

    /// <inheritdoc/>
    public TokenBatch ReadStage(long position, int rows) => parts.Stream.Read(position, rows);

    /// <inheritdoc/>
    public double Backward(TokenBatch batch) => pass.Alone(batch);
}
