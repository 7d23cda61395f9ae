using Perennial.Evaluation.Charts;
using Perennial.Evaluation.Checkpoints;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace Perennial.Cli.Evaluate;

/// <summary>An evaluation on the console: the model's bits per byte among the compressors', best first, then the other figures.</summary>
public static class EvaluationView
{
    /// <summary>The tables.</summary>
    /// <param name="result">What was found.</param>
    /// <param name="unicode">Whether the terminal shows line-drawing signs.</param>
    public static IRenderable Render(EvaluationResult result, bool unicode)
    {
        ArgumentNullException.ThrowIfNull(result);
        var bits = result.Metrics["bits_per_byte"];
        var table = new Table { Border = unicode ? TableBorder.Rounded : TableBorder.Ascii }
            .AddColumn("on the same bytes").AddColumn(new TableColumn("bits per byte").RightAligned()).AddColumn(new TableColumn("bytes").RightAligned());
        var entries = result.Yardsticks.Where(one => one.BitsPerByte is not null).Select(one => (one.Name, Bits: one.BitsPerByte!.Value, Bytes: (double)one.Bytes!, IsModel: false))
            .Append((Name: "this model", Bits: bits, Bytes: bits * result.Bytes / 8, IsModel: true));
        foreach (var (name, value, bytes, isModel) in entries.OrderBy(entry => entry.Bits))
            table.AddRow(isModel ? new Markup($"[green]{name}[/]") : new Text(name), new Text(Human.Fixed(value, 4)), new Text(Human.Whole(Math.Ceiling(bytes))));
        var rows = new List<IRenderable>
        {
            new Text($"{result.Checkpoint} on {result.Text}: {Human.Whole(result.Bytes)} bytes, {Human.Whole(result.Tokens)} tokens"),
            table,
        };
        rows.AddRange(result.Yardsticks.Where(one => one.Missing is not null).Select(one => new Markup($"[dim]{Markup.Escape(one.Name)} {Markup.Escape(one.Missing!)}[/]")));
        rows.AddRange(result.Metrics.Where(pair => pair.Key != "bits_per_byte").OrderBy(pair => pair.Key, StringComparer.Ordinal)
            .Select(pair => new Text($"{pair.Key.Replace('_', ' ')} {Human.Number(pair.Value)}")));
        return new Rows(rows);
    }
}
