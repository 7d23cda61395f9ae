using Perennial.Core;
using Perennial.Evaluation.Events;
using Perennial.Training;

namespace Perennial.Evaluation.Reports;

/// <summary>
/// Keeps <c>report.html</c> of the run folder up to date: at the beginning, at intervals, and at the end; each time the whole file or none of it.
/// </summary>
/// <param name="interval">Least time between two writings while the run goes on; by default 15 seconds.</param>
/// <param name="time">The clock.</param>
/// <param name="warn">Told, once, when the file cannot be written; training goes on.</param>
public sealed class ReportWriter(TimeSpan? interval = null, TimeProvider? time = null, Action<string>? warn = null) : IRunObserver
{
    /// <summary>The file's name in a run folder.</summary>
    public const string Name = "report.html";

    private readonly TimeProvider clock = time ?? TimeProvider.System;
    private readonly TimeSpan least = interval ?? TimeSpan.FromSeconds(15);
    private RunHistory history = new();
    private long written;
    private bool failed;

    /// <summary>Makes the report of a run folder again, from its <c>metrics.jsonl</c> alone, and says where it is.</summary>
    /// <exception cref="PerennialException">The folder holds no events (exit 3) or cannot be written (exit 1).</exception>
    public static string Rebuild(string runFolder)
    {
        var history = RunHistory.Load(runFolder);
        if (history.Started is null)
            throw PerennialException.Damaged($"{Path.Combine(runFolder, MetricsFile.Name)}: no run is told there; give a folder that `perennial train --run` made");
        var path = Path.Combine(runFolder, Name);
        try { AtomicFile.WriteText(path, RunReport.Render(history)); }
        catch (Exception thrown) when (FileErrors.Is(thrown))
        {
            throw PerennialException.Failed($"{path}: cannot be written: {thrown.Message}", thrown);
        }
        return path;
    }

    /// <inheritdoc/>
    public void Observe(RunEvent happened)
    {
        // A resume takes up what earlier processes told; the file of events is cut to the resumed step by its own observer.
        if (happened is RunStarted { StartStep: > 0 } resumed && history.Started is null) history = Earlier(resumed, history);
        history.Add(happened);
        // A run that goes on has a report: training first.
        if (happened is RunStarted { StartStep: > 0 }) written = clock.GetTimestamp();
        var due = happened is RunStarted { StartStep: 0 } or RunFinished || (happened is StepDone or EvaluationDone or StepRefused && clock.GetElapsedTime(written) >= least);
        if (!due || failed || history.Started is not { } started) return;
        try
        {
            Directory.CreateDirectory(started.RunFolder);
            AtomicFile.WriteText(Path.Combine(started.RunFolder, Name), RunReport.Render(history));
            written = clock.GetTimestamp();
        }
        catch (Exception thrown) // whatever it is: a picture of the run must not cost the run
        {
            failed = true;
            warn?.Invoke($"{Name} is no longer written: {thrown.Message}");
        }
    }

    private static RunHistory Earlier(RunStarted resumed, RunHistory told)
    {
        var earlier = new RunHistory();
        foreach (var happened in MetricsFile.Read(resumed.RunFolder))
            if (happened is not RunStarted { } start || start.StartStep < resumed.StartStep) earlier.Add(happened);
        foreach (var notice in told.Notices.Where(notice => !earlier.Notices.Contains(notice))) earlier.Add(notice);
        return earlier;
    }
}
