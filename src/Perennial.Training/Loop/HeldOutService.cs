using Perennial.Models;
using Perennial.Training.HeldOut;
using static TorchSharp.torch;

namespace Perennial.Training.Loop;

/// <summary>Scores held-out text during a run and remembers the newest figure of each kind of weights.</summary>
/// <param name="parts">The run.</param>
/// <param name="tell">Told of every evaluation.</param>
/// <param name="model">The model that is scored, where it is not the one that is trained.</param>
internal sealed class HeldOutService(RunParts parts, Action<RunEvent> tell, ILanguageModel? model = null)
{
    private readonly TextScorer scorer = new();

    /// <summary>Newest bits per byte of the raw weights; null before the first evaluation or without held-out text.</summary>
    public double? BitsPerByte { get; private set; }

    /// <summary>Whether what is told now belongs to a stage's last step.</summary>
    public bool AtStageEnd { get; set; }

    /// <summary>Scores the model's present weights on all texts and tells what was found.</summary>
    public void Evaluate(string weights)
    {
        var texts = parts.Texts;
        if (texts.All is null) return;
        using var _ = no_grad();
        using var scope = NewDisposeScope();
        var sources = texts.Sources.Select(text => text.Tokens == 0 ? new TextScores(text, [], []) : scorer.Score(model ?? parts.Model, text)).ToList();
        EvaluationContext Context(string name, IEnumerable<int> members)
        {
            var joined = HeldOutTexts.Join(name, [.. members.Select(source => sources[source])]);
            return new EvaluationContext(model ?? parts.Model, joined.Text, () => joined);
        }
        var context = Context("held-out", Enumerable.Range(0, sources.Count));
        foreach (var (kind, task) in parts.Tasks)
        {
            var metrics = task.Measure(context);
            if (weights == "raw" && metrics.TryGetValue("bits_per_byte", out var bits)) BitsPerByte = bits;
            tell(new EvaluationDone(parts.State.Progress.Step, kind, weights, metrics));
        }
        if (weights == "raw" && BitsPerByte is null) BitsPerByte = context.Scores.BitsPerByte;
        if (texts.Columns.Count > 0) tell(Measure(weights, texts, Context));
    }

    private StageMeasured Measure(string weights, HeldOutTexts texts, Func<string, IReadOnlyList<int>, EvaluationContext> contextOf)
    {
        var (progress, stage) = (parts.State.Progress, parts.Stage);
        var measured = new List<TextMeasured>();
        foreach (var column in texts.Columns)
        {
            var context = contextOf(column.Name, column.Sources);
            var metrics = new Dictionary<string, double>(StringComparer.Ordinal);
            if (context.Text.Tokens > 0)
            {
                (metrics["loss"], metrics["bits_per_byte"]) = (context.Scores.Loss, context.Scores.BitsPerByte);
                foreach (var (_, task) in parts.Tasks)
                    foreach (var (name, value) in task.Measure(context)) metrics[name] = value;
            }
            measured.Add(new TextMeasured(column.Name, metrics));
        }
        return new StageMeasured(progress.Step, stage.Index, stage.Recipe.Name, progress.Step - progress.StageStart, AtStageEnd, stage.Recipe.Branch, texts.Columns[texts.Own[stage.Index]].Name, weights, measured);
    }
}
