using System.Text;
using Perennial.Core;
using Perennial.Training;

namespace Perennial.Evaluation.Events;

/// <summary>
/// <c>metrics.jsonl</c> of the run folder: every event, one line each, handed to the system at once and made durable with every
/// checkpoint. On resume, lines beyond the resumed step are dropped atomically first, so that no step stands there twice.
/// </summary>
/// <param name="warn">Told when the file cannot be written and when it can again; training goes on, and what was not written is kept.</param>
public sealed class MetricsFile(Action<string>? warn = null) : IRunObserver, IDisposable
{
    /// <summary>The file's name in a run folder.</summary>
    public const string Name = "metrics.jsonl";

    private const int MostKept = 1_000_000;
    private readonly RunEventWriter writer = new();
    private readonly List<RunEvent> waiting = [];
    private string? path;
    private FileStream? file;
    private bool failed;

    /// <inheritdoc/>
    public void Observe(RunEvent happened)
    {
        if (waiting.Count == MostKept) waiting.RemoveAt(0);
        waiting.Add(happened);
        var written = 0;
        try
        {
            if (path is null)
            {
                // Notices before the start, such as a skipped checkpoint, stand behind it.
                var start = waiting.FindIndex(one => one is RunStarted);
                if (start < 0) return;
                var started = waiting[start];
                waiting.RemoveAt(start);
                waiting.Insert(0, started);
            }
            for (; written < waiting.Count; written++) Append(waiting[written]);
            if (happened is CheckpointWritten or RunFinished) file!.Flush(flushToDisk: true);
            if (failed) warn?.Invoke($"{Name} is written again");
            failed = false;
        }
        catch (Exception thrown) when (FileErrors.Is(thrown))
        {
            if (!failed) warn?.Invoke($"{Name} cannot be written at present: {thrown.Message}");
            failed = true;
            file?.Dispose();
            file = null;
        }
        finally
        {
            waiting.RemoveRange(0, written);
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
        using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        if (stream.Length == 0) return true;
        stream.Seek(-1, SeekOrigin.End);
        return stream.ReadByte() == '\n';
    }

    private void Append(RunEvent happened)
    {
        if (happened is RunStarted started) Begin(started);
        if (file is null)
        {
            // No buffer: what was written is with the system at once, and a failed write leaves nothing behind in this process.
            var torn = File.Exists(path) && !EndsWithLine(path);
            file = new FileStream(path!, FileMode.Append, FileAccess.Write, FileShare.ReadWrite | FileShare.Delete, 0);
            // A line that a failed write tore is left out by readers; another leader's lines are never cut.
            if (torn) file.Write("\n"u8);
        }
        file.Write(Encoding.UTF8.GetBytes(writer.Line(happened) + "\n"));
    }

    private void Begin(RunStarted started)
    {
        file?.Dispose();
        file = null;
        Directory.CreateDirectory(started.RunFolder);
        var begun = Path.Combine(started.RunFolder, Name);
        Truncate(begun, started.StartStep);
        path = begun;
    }
}
