using Perennial.Data.Yardsticks;
using Perennial.Evaluation.Charts;
using Perennial.Evaluation.Reports;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace Perennial.Cli.Progress;

/// <summary>The table at the end of a run: how it went, and where everything is.</summary>
public static class RunSummaryView
{
    /// <summary>The table.</summary>
    /// <param name="progress">The run's progress with its result.</param>
    /// <param name="now">The moment it ended.</param>
    /// <param name="unicode">Whether the terminal shows line-drawing signs.</param>
    public static IRenderable Render(RunProgress progress, DateTimeOffset now, bool unicode)
    {
        ArgumentNullException.ThrowIfNull(progress);
        var table = new Table { Border = unicode ? TableBorder.Rounded : TableBorder.Ascii, ShowHeaders = false };
        table.AddColumn(new TableColumn("").NoWrap()).AddColumn("");
        foreach (var (name, value) in Rows(progress, now)) table.AddRow(new Text(name), new Text(value));
        return table;
    }

    private static IEnumerable<(string Name, string Value)> Rows(RunProgress progress, DateTimeOffset now)
    {
        if (progress is not { Result: { } result, Started: { } started }) yield break;
        yield return (result.Completed ? "finished" : "interrupted, saved", $"{Human.Whole(result.Step)} of {Human.Whole(started.TotalSteps)} steps, {Human.Number(result.Tokens)} tokens, {Human.Duration(progress.Elapsed(now).TotalSeconds)}");
        yield return ("training loss", $"{Human.Fixed(result.Loss, 4)} nats a token");
        if (double.IsFinite(progress.BitsPerByte)) yield return ("held-out text", $"{Human.Fixed(progress.BitsPerByte, 4)} bits per byte");
        foreach (var one in Yardstick.FromJson(started.Facts["yardsticks"]).Where(one => one.BitsPerByte is not null))
            yield return ($"  {one.Name}", $"{Human.Fixed(one.BitsPerByte!.Value, 4)} bits per byte for the same text");
        if (result.TokensPerSecond > 0) yield return ("speed", $"{Human.Number(result.TokensPerSecond)} tokens/s{(started.CeilingFlops > 0 ? $", {Human.Percent(result.Mfu)} of the measured ceiling" : "")}");
        if (progress.Refused > 0) yield return ("refused steps", Human.Whole(progress.Refused));
        yield return ("state hash", result.StateHash);
        yield return ("report", Path.Combine(started.RunFolder, ReportWriter.Name));
        yield return ("checkpoints", Path.Combine(started.RunFolder, "checkpoints"));
    }
}
