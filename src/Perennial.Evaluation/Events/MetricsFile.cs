using System.Text;
using Perennial.Core;
using Perennial.Training;

namespace Perennial.Evaluation.Events;

/// <summary>
/// <c>metrics.jsonl</c> of the run folder: every event, one line each, handed to the system at once and made durable with every
/// checkpoint. On resume, lines beyond the resumed step are dropped atomically first, so that no step stands there twice.
/// </summary>
/// <param name="warn">Told, once, when the file cannot be written; training goes on.</param>
public sealed class MetricsFile(Action<string>? warn = null) : IRunObserver, IDisposable
{
    /// <summary>The file's name in a run folder.</summary>
    public const string Name = "metrics.jsonl";

    private readonly RunEventWriter writer = new();
    private readonly List<RunEvent> early = [];
    private FileStream? file;
    private bool failed;

    /// <inheritdoc/>
    public void Observe(RunEvent happened)
    {
        if (failed) return;
        try
        {
            if (happened is RunStarted started) Open(started);
            else if (file is null) { early.Add(happened); return; } // notices before the start, such as a skipped checkpoint
            Append(happened);
            if (happened is RunStarted)
            {
                early.ForEach(Append);
                early.Clear();
            }
            file!.Flush(flushToDisk: happened is CheckpointWritten or RunFinished);
        }
        catch (Exception thrown) when (thrown is IOException or UnauthorizedAccessException)
        {
            failed = true;
            warn?.Invoke($"{Name} is no longer written: {thrown.Message}");
        }
    }

    /// <summary>Reads the events of a run folder in order; torn or foreign lines are left out, a missing file is an empty history.</summary>
    public static IEnumerable<RunEvent> Read(string runFolder)
    {
        var path = Path.Combine(runFolder, Name);
        return File.Exists(path) ? Lines(path).Select(line => line.Event).OfType<RunEvent>() : [];
    }

    /// <summary>
    /// Drops what a resume at <paramref name="startStep"/> will do again: everything told of later steps, sessions begun at that step
    /// or later, and lines torn by a kill. What was told late about an earlier step (a checkpoint written in the background) stays.
    /// </summary>
    public static void Truncate(string path, long startStep)
    {
        if (!File.Exists(path)) return;
        var kept = new List<string>();
        bool whole = true, beyond = false;
        foreach (var (text, happened) in Lines(path))
        {
            beyond |= happened is not null && IsRepeated(happened, startStep);
            if (happened is null || IsRepeated(happened, startStep) || (beyond && happened is Notice)) whole = false;
            else kept.Add(text);
        }
        if (whole && EndsWithLine(path)) return;
        AtomicFile.Write(path, stream =>
        {
            foreach (var text in kept) stream.Write(Encoding.UTF8.GetBytes(text + "\n"));
        });
    }

    /// <inheritdoc/>
    public void Dispose() => file?.Dispose();

    private static bool IsRepeated(RunEvent happened, long startStep) => happened switch
    {
        RunStarted e => e.StartStep >= startStep,
        StepDone e => e.Step > startStep,
        StepRefused e => e.Step > startStep,
        EvaluationDone e => e.Step > startStep,
        SampleWritten e => e.Step > startStep,
        CheckpointWritten e => e.Step > startStep,
        SamplesCommitted e => e.Step > startStep,
        Recovered e => e.Step > startStep,
        MixtureMeasured e => e.Step > startStep,
        StageMeasured e => e.Step > startStep,
        StageFinished e => e.Step > startStep,
        MixtureChosen e => e.Step >= startStep,
        GraphLearned e => e.Step >= startStep,
        RunFinished e => e.Result.Step > startStep,
        _ => false,
    };

    private static IEnumerable<(string Text, RunEvent? Event)> Lines(string path)
    {
        // Shared for writing: a report may be rebuilt while the run goes on.
        using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        using var reader = new StreamReader(stream, Encoding.UTF8);
        while (reader.ReadLine() is { } text) yield return (text, RunEventReader.Read(text));
    }

    private static bool EndsWithLine(string path)
    {
        using var stream = File.OpenRead(path);
        if (stream.Length == 0) return true;
        stream.Seek(-1, SeekOrigin.End);
        return stream.ReadByte() == '\n';
    }

    private void Open(RunStarted started)
    {
        file?.Dispose();
        Directory.CreateDirectory(started.RunFolder);
        var path = Path.Combine(started.RunFolder, Name);
        Truncate(path, started.StartStep);
        file = new FileStream(path, FileMode.Append, FileAccess.Write, FileShare.ReadWrite | FileShare.Delete, 1 << 14);
    }

    private void Append(RunEvent happened) => file!.Write(Encoding.UTF8.GetBytes(writer.Line(happened) + "\n"));
}
