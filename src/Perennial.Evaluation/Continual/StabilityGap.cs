using Perennial.Training;

namespace Perennial.Evaluation.Continual;

/// <summary>How far a stage threw the model back on a text that it does not teach, before the model settled (Guo et al. 2024, arXiv 2406.14833).</summary>
/// <param name="Stage">The stage.</param>
/// <param name="Text">The text.</param>
/// <param name="Depth">Largest loss during the stage minus that at its beginning, nats a token; 0 when it never rose.</param>
/// <param name="WorstStep">The stage's step of that loss.</param>
/// <param name="RecoveredStep">The stage's first measured step after it with a loss no larger than at the beginning; null when there was none.</param>
/// <param name="Area">∫ max(0, loss − loss at the beginning) over the stage's steps, nats a token · steps, by trapezoids.</param>
public sealed record StabilityGap(string Stage, string Text, double Depth, long WorstStep, long? RecoveredStep, double Area)
{
    /// <summary>The gaps of one stage, one a text that is not its own.</summary>
    /// <param name="stage">What was measured during the stage, by step.</param>
    /// <param name="before">What was measured at the beginning: the end of the stage before; null when that is not known.</param>
    /// <param name="texts">The texts.</param>
    public static IEnumerable<StabilityGap> Of(IReadOnlyList<StageMeasured> stage, StageMeasured? before, IReadOnlyList<string> texts)
    {
        ArgumentNullException.ThrowIfNull(stage);
        ArgumentNullException.ThrowIfNull(texts);
        if (before is null || stage.Count == 0) yield break;
        foreach (var text in texts.Where(text => text != stage[0].Own))
        {
            var start = Loss(before, text);
            var points = stage.Select(e => (Step: e.StageStep, Rise: Loss(e, text) - start)).Where(point => double.IsFinite(point.Rise)).ToList();
            if (points.Count == 0) continue;
            var worst = points.MaxBy(point => point.Rise);
            var recovered = points.FirstOrDefault(point => point.Step > worst.Step && point.Rise <= 0);
            double area = 0, last = 0;
            var lastStep = 0L;
            foreach (var (step, rise) in points)
            {
                area += (step - lastStep) * (last + Math.Max(0, rise)) / 2;
                (lastStep, last) = (step, Math.Max(0, rise));
            }
            yield return new StabilityGap(stage[0].Name, text, Math.Max(0, worst.Rise), worst.Step, worst.Rise <= 0 ? 0 : recovered.Step > 0 ? recovered.Step : null, area);
        }
    }

    private static double Loss(StageMeasured e, string text) => e.Texts.FirstOrDefault(one => one.Text == text)?.Metrics.TryGetValue("loss", out var loss) == true ? loss : double.NaN;
}
