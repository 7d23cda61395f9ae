using Perennial.Core;
using Perennial.Training;

namespace Perennial.Cli.Progress;

/// <summary><c>log.txt</c> of the run folder: what was said to people, with the time. Begins when the run does, so that a refused start leaves nothing.</summary>
/// <param name="folder">The run's folder.</param>
/// <param name="time">The clock.</param>
internal sealed class LogFile(string folder, TimeProvider? time = null) : IRunObserver, IDisposable
{
    private readonly TimeProvider clock = time ?? TimeProvider.System;
    private readonly List<string> early = [];
    private StreamWriter? writer;
    private bool failed;

    public void Observe(RunEvent happened)
    {
        try
        {
            if (happened is RunStarted && writer is null)
            {
                writer = new StreamWriter(Path.Combine(folder, "log.txt"), append: true) { AutoFlush = true };
                early.ForEach(writer.WriteLine);
                early.Clear();
            }
            if (Line(happened) is not { } line) return;
            line = $"{clock.GetUtcNow():yyyy-MM-ddTHH:mm:ssZ} {line}";
            if (failed) return;
            if (writer is null) early.Add(line);
            else writer.WriteLine(line);
        }
        catch (Exception error) when (FileErrors.Is(error))
        {
            (writer, failed) = (null, true); // a log that cannot be written stops nothing
        }
    }

    public void Dispose() => writer?.Dispose();

    private static string? Line(RunEvent happened) => happened switch
    {
        RunStarted e => $"start at step {e.StartStep} of {e.TotalSteps}, {e.Parameters} parameters",
        StepRefused e => $"step {e.Step} refused: {e.Reason}; {e.Action}; samples {string.Join(' ', e.SampleIds)}",
        EvaluationDone e => $"step {e.Step} {e.Task} ({e.Weights}): {string.Join(", ", e.Metrics.Select(metric => $"{metric.Key} {metric.Value:G6}"))}",
        CheckpointWritten e => $"checkpoint {e.Folder}: {e.Bytes} bytes in {e.Seconds:F2} s{(e.Manager is null ? "" : $", by the manager of {e.Manager}")}",
        StageFinished e => $"stage {e.Stage + 1} '{e.Name}' finished at step {e.Step}: {e.Tokens} tokens, {e.FreshTokens} of them new; {e.Folder}",
        Notice e => $"{e.Level}: {e.Message}",
        RunFinished e => $"{(e.Result.Completed ? "done" : "interrupted, state saved")} at step {e.Result.Step}, loss {e.Result.Loss:F4}, state {e.Result.StateHash}",
        _ => null,
    };
}
