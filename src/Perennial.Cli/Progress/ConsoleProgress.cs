using Perennial.Evaluation.Charts;
using Perennial.Evaluation.Continual;
using Perennial.Evaluation.Events;
using Perennial.Training;
using Spectre.Console;

namespace Perennial.Cli.Progress;

/// <summary>
/// Shows a run on a console (standard error): live where it is a terminal, else a plain line now and then. Drawing happens on a
/// thread of its own, so the training thread never waits for a terminal.
/// </summary>
/// <param name="console">The console.</param>
/// <param name="live">Whether to draw in place; see <see cref="IsLive"/>.</param>
/// <param name="time">The clock.</param>
/// <param name="plainInterval">Least time between two plain lines; by default 10 seconds.</param>
public sealed class ConsoleProgress(IAnsiConsole console, bool live, TimeProvider? time = null, TimeSpan? plainInterval = null) : IRunObserver, IDisposable
{
    private static readonly TimeSpan Frame = TimeSpan.FromMilliseconds(150);
    private readonly TimeProvider clock = time ?? TimeProvider.System;
    private readonly TimeSpan interval = plainInterval ?? TimeSpan.FromSeconds(10);
    private readonly CancellationTokenSource stop = new();
    private volatile RunProgress progress = new();
    private readonly List<StageMeasured> measured = [];
    private IReadOnlyList<StageMeasured> earlier = [];
    private DateTimeOffset lastLine;
    private Task? drawing;

    /// <summary>Whether a console can be drawn on in place: a terminal that understands ANSI, and no continuous-integration job.</summary>
    public static bool IsLive(IAnsiConsole console)
    {
        ArgumentNullException.ThrowIfNull(console);
        return console.Profile.Out.IsTerminal && console.Profile.Capabilities.Ansi && Environment.GetEnvironmentVariable("CI") is null or "";
    }

    /// <inheritdoc/>
    public void Observe(RunEvent happened)
    {
        var now = clock.GetUtcNow();
        progress = progress.After(happened, now);
        try
        {
            Show(happened, now);
        }
        catch (IOException)
        {
            // The terminal has gone; the run is worth more than its picture.
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        EndDrawing();
        stop.Dispose();
    }

    private void Show(RunEvent happened, DateTimeOffset now)
    {
        switch (happened)
        {
            case RunStarted e:
                // What earlier processes of the run measured belongs to its matrix.
                earlier = e.StartStep == 0 ? [] : [.. RunHistory.Load(e.RunFolder).StageTexts.Where(known => known.Step <= e.StartStep)];
                Say($"{Human.Number(e.Parameters)} parameters, {Human.Whole(e.TotalSteps)} steps of {Human.Whole(e.TokensPerStep)} tokens{(e.StartStep > 0 ? $", resumed after step {Human.Whole(e.StartStep)}" : "")}; run folder {e.RunFolder}", null);
                lastLine = now;
                if (live) drawing ??= Task.Run(Draw);
                break;
            case Notice e:
                Say(e.Message, e.Level == "warning" ? "warning" : null);
                break;
            case Recovered e:
                Say($"{e.Before} processes, now {e.After}, after step {Human.Whole(e.Step)}: detect {e.Phases.Detect * 1000:F0} ms, agree {e.Phases.Agree * 1000:F0}, group {e.Phases.Group * 1000:F0}, plan {e.Phases.Plan * 1000:F1}, move {e.Phases.Move * 1000:F0}, replay {e.Phases.Replay * 1000:F0} ({e.Reason})", null);
                break;
            case StageFinished e:
                Say($"stage {e.Stage + 1} '{e.Name}' finished: {Human.Number(e.Tokens)} tokens{(e.FreshTokens < e.Tokens ? $", {Human.Number(e.FreshTokens)} of them new" : "")}; its model is in {e.Folder}", null);
                break;
            case StageMeasured e:
                measured.RemoveAll(known => known.Step == e.Step && known.Stage == e.Stage && known.IsEnd == e.IsEnd && known.Weights == e.Weights);
                measured.Add(e);
                break;
            case StepRefused e:
                Say($"step {Human.Whole(e.Step)} refused: {e.Reason}; {e.Action}", "warning");
                break;
            case StepDone or EvaluationDone when !live && (now - lastLine >= interval || happened is EvaluationDone):
                Say(ProgressView.Line(progress, now), null);
                lastLine = now;
                break;
            case RunFinished:
                EndDrawing();
                console.Write(RunSummaryView.Render(progress, now, console.Profile.Capabilities.Unicode));
                if (ForgettingMatrix.Of(earlier.Concat(measured)) is { } matrix) console.Write(Evaluate.ForgettingView.Render(matrix, console.Profile.Capabilities.Unicode));
                break;
        }
    }

    // Long lines are not wrapped: a log line stays one line.
    private void Say(string line, string? level)
    {
        var text = level is null ? line : $"{level}: {line}";
        if (live) console.MarkupLine(level is null ? $"[dim]{Markup.Escape(text)}[/]" : $"[yellow]{Markup.Escape(text)}[/]");
        else console.Profile.Out.Writer.WriteLine(text);
    }

    private async Task Draw()
    {
        try
        {
            await console.Live(View()).AutoClear(true).StartAsync(async context =>
            {
                while (!stop.IsCancellationRequested)
                {
                    context.UpdateTarget(View());
                    await Task.Delay(Frame, stop.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                }
            }).ConfigureAwait(false);
        }
        catch (IOException)
        {
            // As above.
        }
    }

    private Spectre.Console.Rendering.IRenderable View() =>
        ProgressView.Render(progress, clock.GetUtcNow(), console.Profile.Width, console.Profile.Capabilities.Unicode);

    private void EndDrawing()
    {
        stop.Cancel();
        drawing?.GetAwaiter().GetResult();
        drawing = null;
    }
}
