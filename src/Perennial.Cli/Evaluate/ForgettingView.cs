using Perennial.Evaluation.Charts;
using Perennial.Evaluation.Continual;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace Perennial.Cli.Evaluate;

/// <summary>The forgetting matrix on the console.</summary>
public static class ForgettingView
{
    /// <summary>The tables: the matrix in bits a byte, then what became of each text, then the stability gaps.</summary>
    /// <param name="matrix">The matrix.</param>
    /// <param name="unicode">Whether the terminal shows line-drawing signs.</param>
    public static IRenderable Render(ForgettingMatrix matrix, bool unicode)
    {
        ArgumentNullException.ThrowIfNull(matrix);
        var border = unicode ? TableBorder.Rounded : TableBorder.Ascii;
        var losses = Make(border, ["bits per byte after", .. matrix.Texts], matrix.Rows.Select(row =>
            (IReadOnlyList<IRenderable>)[new Text(row.Stage), .. row.BitsPerByte.Select((bits, j) => row.Own == matrix.Texts[j] ? (IRenderable)new Markup($"[green]{Human.Fixed(bits, 3)}[/]") : new Text(Human.Fixed(bits, 3)))]));
        var transfers = Make(border, ["nats a token", "learned", "at the end", "forgotten", "backward transfer", "forward transfer"],
            matrix.Transfers.Select(text => Row(text.Text, text.Learned, text.Final, text.Forgetting, text.BackwardTransfer, text.ForwardTransfer))
                .Append(Row("mean", matrix.Learned, matrix.Retained, matrix.Forgetting, matrix.BackwardTransfer, matrix.ForwardTransfer)));
        var parts = new List<IRenderable> { losses, transfers };
        if (matrix.Gaps.Count > 0)
        {
            parts.Add(Make(border, ["stability gap in", "on", "depth, nats", "worst at step", "recovered at step"], matrix.Gaps.Select(gap =>
                (IReadOnlyList<IRenderable>)[new Text(gap.Stage), new Text(gap.Text), new Text(Number(gap.Depth)), new Text(Human.Whole(gap.WorstStep)), new Text(gap.RecoveredStep is { } step ? Human.Whole(step) : "not")])));
        }
        return new Rows(parts);
    }

    private static IReadOnlyList<IRenderable> Row(string name, params ReadOnlySpan<double> values)
    {
        var row = new List<IRenderable> { new Text(name) };
        foreach (var value in values) row.Add(new Text(Number(value)));
        return row;
    }

    private static Table Make(TableBorder border, IReadOnlyList<string> heads, IEnumerable<IReadOnlyList<IRenderable>> rows)
    {
        var table = new Table { Border = border };
        for (var i = 0; i < heads.Count; i++)
        {
            var column = new TableColumn(Markup.Escape(heads[i]));
            table.AddColumn(i == 0 ? column : column.RightAligned());
        }
        foreach (var row in rows) table.AddRow(row);
        return table;
    }

    private static string Number(double value) => double.IsFinite(value) ? Human.Fixed(value, 3) : "-";
}
