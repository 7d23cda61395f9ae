using Perennial.Core;
using Perennial.Evaluation.Events;
using Perennial.Training;

namespace Perennial.Evaluation.TensorBoard;

/// <summary>
/// Writes <c>events.out.tfevents.*</c> into the run folder: losses, rate, gradient norm, speed, held-out figures, samples and the
/// recipe. A resumed run opens a new file whose session start makes TensorBoard drop what is done again.
/// </summary>
/// <param name="time">Clock of the events' wall time.</param>
/// <param name="warn">Told, once, when the file cannot be written; training goes on.</param>
public sealed class TensorBoardWriter(TimeProvider? time = null, Action<string>? warn = null) : IRunObserver, IDisposable
{
    private readonly TimeProvider clock = time ?? TimeProvider.System;
    private RunStarted? started;
    private FileStream? file;
    private bool failed;

    private double Now => (clock.GetUtcNow() - DateTimeOffset.UnixEpoch).TotalSeconds;

    /// <inheritdoc/>
    public void Observe(RunEvent happened)
    {
        if (failed) return;
        try
        {
            if (happened is RunStarted start) Open(start);
            if (file is null || Encode(happened) is not { } message) return;
            RecordFile.Write(file, message);
            file.Flush();
        }
        catch (Exception thrown) when (FileErrors.Is(thrown))
        {
            failed = true;
            Close();
            warn?.Invoke($"TensorBoard events are no longer written: {thrown.Message}");
        }
    }

    /// <inheritdoc/>
    public void Dispose() => Close();

    /// <summary>What could not be written before is not written at the end either, and stops nothing.</summary>
    private void Close()
    {
        try
        {
            file?.Dispose();
        }
        catch (Exception error) when (FileErrors.Is(error))
        {
            failed = true;
        }
        file = null;
    }

    private void Open(RunStarted start)
    {
        started = start;
        Close();
        Directory.CreateDirectory(start.RunFolder);
        // TensorBoard reads a folder's files in the order of their names: seconds first, then a counter for resumes within one second.
        var seconds = (long)Now;
        for (var attempt = 0; ; attempt++)
        {
            var path = Path.Combine(start.RunFolder, $"events.out.tfevents.{seconds:D10}.{Environment.MachineName}.{attempt:D3}");
            if (File.Exists(path)) continue;
            file = new FileStream(path, FileMode.CreateNew, FileAccess.Write, FileShare.ReadWrite | FileShare.Delete);
            break;
        }
        RecordFile.Write(file, EventMessage.FileVersion(Now));
        RecordFile.Write(file, EventMessage.SessionStart(Now, start.StartStep + 1));
    }

    private byte[]? Encode(RunEvent happened) => happened switch
    {
        RunStarted e => EventMessage.Text(Now, e.StartStep, "recipe", "```yaml\n" + e.RecipeYaml + "\n```"),
        StepDone e => EventMessage.Scalars(Now, e.Step, Scalars(e)),
        EvaluationDone e => EventMessage.Scalars(Now, e.Step, e.Metrics.OrderBy(pair => pair.Key, StringComparer.Ordinal)
            .Select(pair => (e.Weights == "raw" ? $"held-out/{pair.Key}" : $"held-out/{pair.Key}/{e.Weights}", pair.Value))),
        StageMeasured e => EventMessage.Scalars(Now, e.Step, e.Texts.Where(text => text.Metrics.ContainsKey("bits_per_byte"))
            .Select(text => (e.Weights == "raw" ? $"stages/{text.Text}" : $"stages/{text.Text}/{e.Weights}", text.Metrics["bits_per_byte"]))),
        SampleWritten e => EventMessage.Text(Now, e.Step, "sample", $"**{e.Prompt}**{e.Text}"),
        StepRefused e => EventMessage.Text(Now, e.Step, "refused steps", $"{e.Reason} → {e.Action}"),
        _ => null,
    };

    private IEnumerable<(string Tag, double Value)> Scalars(StepDone e)
    {
        yield return ("train/loss", e.Loss);
        yield return ("train/learning_rate", e.Rate);
        yield return ("train/gradient_norm", e.GradientNorm);
        yield return ("speed/tokens_per_second", Throughput.TokensPerSecond(started!, e));
        var mfu = Throughput.Mfu(started!, e);
        if (double.IsFinite(mfu)) yield return ("speed/mfu", mfu);
    }
}
