using System.Text.Json.Nodes;
using Perennial.Training;

namespace Perennial.Evaluation.Continual;

/// <summary>A row: one finished stage's model on every text.</summary>
/// <param name="Stage">The stage's name; <c>before training</c> for the first row.</param>
/// <param name="Own">The stage's own text; empty before training.</param>
/// <param name="Step">Finished steps of the run.</param>
/// <param name="Losses">Loss on each text, nats a token, in the order of the texts; NaN where nothing was measured.</param>
/// <param name="BitsPerByte">The same in bits a byte.</param>
public sealed record ForgettingRow(string Stage, string Own, long Step, IReadOnlyList<double> Losses, IReadOnlyList<double> BitsPerByte);

/// <summary>What became of one text. Losses in nats a token; positive transfer is good.</summary>
/// <param name="Text">The text.</param>
/// <param name="Learned">Loss right after the first stage that learned it; NaN when none did.</param>
/// <param name="Final">Loss at the end.</param>
/// <param name="Forgetting">Final minus the best ever: how much of the best was lost, 0 when the end is best; below 0 never.</param>
/// <param name="BackwardTransfer">Learned minus final: what later stages did to it, above 0 where they helped.</param>
/// <param name="ForwardTransfer">Before training minus just before its stage: what earlier stages did for it. NaN for the first.</param>
public sealed record TextTransfer(string Text, double Learned, double Final, double Forgetting, double BackwardTransfer, double ForwardTransfer);

/// <summary>
/// Losses of every stage's model on every stage's held-out text, and what follows from them (Lopez-Paz and Ranzato 2017; Abbes et al. 2025,
/// arXiv 2508.01908). Where the recipe has branches, the branches' models are the finished ones and make the rows.
/// </summary>
public sealed record ForgettingMatrix
{
    /// <summary>Names of the texts.</summary>
    public required IReadOnlyList<string> Texts { get; init; }

    /// <summary>Before training (where it was measured), then every finished stage in order.</summary>
    public required IReadOnlyList<ForgettingRow> Rows { get; init; }

    /// <summary>What became of each text.</summary>
    public required IReadOnlyList<TextTransfer> Transfers { get; init; }

    /// <summary>Stability gaps of every stage after the first.</summary>
    public required IReadOnlyList<StabilityGap> Gaps { get; init; }

    /// <summary>Which weights were measured.</summary>
    public required string Weights { get; init; }

    /// <summary>Mean final loss over the texts that some stage learned.</summary>
    public double Retained => Mean(Transfers.Where(text => double.IsFinite(text.Learned)).Select(text => text.Final));

    /// <summary>Mean loss right after each text's own stage.</summary>
    public double Learned => Mean(Transfers.Select(text => text.Learned));

    /// <summary>Mean forgetting of the texts learned before the last one.</summary>
    public double Forgetting => Mean(Old.Select(text => text.Forgetting));

    /// <summary>Mean backward transfer of the texts learned before the last one.</summary>
    public double BackwardTransfer => Mean(Old.Select(text => text.BackwardTransfer));

    /// <summary>Mean forward transfer of the texts learned after the first one.</summary>
    public double ForwardTransfer => Mean(Transfers.Select(text => text.ForwardTransfer));

    private IEnumerable<TextTransfer> Old => Transfers.Where(text => double.IsFinite(text.Learned) && text.Text != Rows[^1].Own);

    /// <summary>The matrix of what a run measured; null for a run without stages, or before its first stage is finished.</summary>
    /// <param name="measured">What was measured, in any order.</param>
    /// <param name="weights">Which weights.</param>
    public static ForgettingMatrix? Of(IEnumerable<StageMeasured> measured, string weights = "raw")
    {
        ArgumentNullException.ThrowIfNull(measured);
        var all = measured.Where(e => e.Weights == weights).OrderBy(e => e.Step).ThenBy(e => e.Stage).ToList();
        var ends = all.Where(e => e.IsEnd).ToList();
        if (ends.Count == 0) return null;
        var texts = ends[^1].Texts.Select(text => text.Text).ToList();
        if (ends.Any(e => e.IsBranch)) ends = [.. ends.Where(e => e.IsBranch)];
        var start = all.FirstOrDefault(e => e is { Step: 0, IsEnd: false });
        var rows = ends.Select(e => Row(e, e.Name, e.Own, texts)).ToList();
        if (start is not null) rows.Insert(0, Row(start, "before training", "", texts));
        return new ForgettingMatrix
        {
            Texts = texts, Rows = rows, Weights = weights,
            Transfers = [.. texts.Select((text, j) => Transfer(text, j, rows, start is not null))],
            Gaps = [.. all.GroupBy(e => e.Stage).Where(stage => stage.Key > 0).SelectMany(stage => StabilityGap.Of([.. stage], all.LastOrDefault(e => e.Stage < stage.Key && e.IsEnd && !e.IsBranch), texts))],
        };
    }

    /// <summary>The matrix as JSON; numbers that are not finite become null.</summary>
    public JsonObject ToJson() => new()
    {
        ["event"] = "forgetting",
        ["weights"] = Weights,
        ["texts"] = new JsonArray([.. Texts.Select(text => (JsonNode)text)]),
        ["rows"] = new JsonArray([.. Rows.Select(row => (JsonNode)new JsonObject { ["stage"] = row.Stage, ["own"] = row.Own, ["step"] = row.Step, ["loss"] = Numbers(row.Losses), ["bits_per_byte"] = Numbers(row.BitsPerByte) })]),
        ["transfer"] = new JsonArray([.. Transfers.Select(text => (JsonNode)new JsonObject
        {
            ["text"] = text.Text, ["learned"] = Number(text.Learned), ["final"] = Number(text.Final), ["forgetting"] = Number(text.Forgetting),
            ["backward_transfer"] = Number(text.BackwardTransfer), ["forward_transfer"] = Number(text.ForwardTransfer),
        })]),
        ["gaps"] = new JsonArray([.. Gaps.Select(gap => (JsonNode)new JsonObject
        {
            ["stage"] = gap.Stage, ["text"] = gap.Text, ["depth"] = Number(gap.Depth), ["worst_step"] = gap.WorstStep, ["recovered_step"] = gap.RecoveredStep, ["area"] = Number(gap.Area),
        })]),
        ["retained"] = Number(Retained), ["learned"] = Number(Learned), ["forgetting"] = Number(Forgetting),
        ["backward_transfer"] = Number(BackwardTransfer), ["forward_transfer"] = Number(ForwardTransfer),
    };

    private static ForgettingRow Row(StageMeasured e, string name, string own, IReadOnlyList<string> texts) => new(name, own, e.Step, Values(e, texts, "loss"), Values(e, texts, "bits_per_byte"));

    private static List<double> Values(StageMeasured e, IReadOnlyList<string> texts, string metric) =>
        [.. texts.Select(text => e.Texts.FirstOrDefault(one => one.Text == text)?.Metrics.TryGetValue(metric, out var value) == true ? value : double.NaN)];

    private static TextTransfer Transfer(string text, int j, List<ForgettingRow> rows, bool hasStart)
    {
        var learnedBy = rows.FindIndex(row => row.Own == text);
        var final = rows[^1].Losses[j];
        var learned = learnedBy >= 0 ? rows[learnedBy].Losses[j] : double.NaN;
        var first = hasStart ? 1 : 0;
        return new TextTransfer(text, learned, final, final - rows.Min(row => row.Losses[j]), learned - final,
            hasStart && learnedBy > first ? rows[0].Losses[j] - rows[learnedBy - 1].Losses[j] : double.NaN);
    }

    private static double Mean(IEnumerable<double> values) => values.Where(double.IsFinite).DefaultIfEmpty(double.NaN).Average();

    private static JsonArray Numbers(IEnumerable<double> values) => new([.. values.Select(Number)]);

    private static JsonNode? Number(double value) => double.IsFinite(value) ? JsonValue.Create(value) : null;
}
