using Perennial.Evaluation.Charts;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace Perennial.Cli.Progress;

/// <summary>A run's progress as two lines: a bar with what is left, and the figures that tell whether it goes well.</summary>
public static class ProgressView
{
    /// <summary>The two lines, for a terminal.</summary>
    /// <param name="progress">What is known.</param>
    /// <param name="now">The moment it is drawn at.</param>
    /// <param name="width">Columns at hand.</param>
    /// <param name="unicode">Whether the terminal shows line-drawing signs.</param>
    public static IRenderable Render(RunProgress progress, DateTimeOffset now, int width, bool unicode)
    {
        ArgumentNullException.ThrowIfNull(progress);
        var total = progress.Started?.TotalSteps ?? 0;
        var behind = $" {Human.Whole(progress.Step)}/{Human.Whole(total)} steps";
        var left = progress.SecondsLeft(now);
        var time = progress.Started is null ? " preparing" : double.IsFinite(left) ? $"  {Human.Duration(left)} left" : "  estimating";
        var percent = $" {Math.Floor(progress.Share * 100):0} %";
        var cells = Math.Clamp(width - behind.Length - time.Length - percent.Length - 3, 8, 48);
        var full = (int)Math.Round(cells * progress.Share);
        var (on, off) = unicode ? ('━', '─') : ('#', '.');
        return new Rows(
            new Markup($"[blue]{new string(on, full)}[/][dim]{new string(off, cells - full)}[/][bold]{percent}[/]{behind}[dim]{time}[/]") { Overflow = Overflow.Ellipsis },
            new Markup(string.Join(unicode ? "[dim] · [/]" : " | ", Figures(progress, now).Select(figure => Markup.Escape(figure)))));
    }

    /// <summary>One line for logs, without colour.</summary>
    public static string Line(RunProgress progress, DateTimeOffset now)
    {
        ArgumentNullException.ThrowIfNull(progress);
        var left = progress.SecondsLeft(now);
        return $"step {progress.Step}/{progress.Started?.TotalSteps ?? 0}  {string.Join("  ", Figures(progress, now))}{(double.IsFinite(left) ? $"  {Human.Duration(left)} left" : "")}";
    }

    private static IEnumerable<string> Figures(RunProgress progress, DateTimeOffset now)
    {
        if (double.IsFinite(progress.Loss)) yield return $"loss {Human.Fixed(progress.Loss, 3)}";
        if (double.IsFinite(progress.BitsPerByte)) yield return $"held-out {Human.Fixed(progress.BitsPerByte, 3)} bits/byte";
        if (double.IsFinite(progress.TokensPerSecond)) yield return $"{Human.Number(progress.TokensPerSecond)} tokens/s";
        if (double.IsFinite(progress.Mfu)) yield return $"MFU {Human.Percent(progress.Mfu)}";
        if (progress.Step > 0) yield return progress.SnapshotLag == 0 ? "saved" : $"saved {Human.Whole(progress.SnapshotLag)} {(progress.SnapshotLag == 1 ? "step" : "steps")} ago";
        if (progress.Refused > 0) yield return $"{progress.Refused} refused";
        yield return $"{Human.Duration(Math.Floor(progress.Elapsed(now).TotalSeconds))} elapsed";
    }
}
