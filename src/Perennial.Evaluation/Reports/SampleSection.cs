using System.Text;
using Perennial.Evaluation.Charts;
using Perennial.Training;
using static Perennial.Evaluation.Reports.HtmlPage;

namespace Perennial.Evaluation.Reports;

/// <summary>What the model wrote while it learned: the newest open, earlier ones to unfold, so that progress can be read.</summary>
internal static class SampleSection
{
    private const int Shown = 12;

    public static string Render(IReadOnlyList<SampleWritten> samples)
    {
        if (samples.Count == 0) return "";
        var html = new StringBuilder("<section><h2>What it wrote</h2>");
        foreach (var sample in Chosen(samples))
        {
            html.Append("<details class=\"sample\"").Append(ReferenceEquals(sample, samples[^1]) || ReferenceEquals(sample, samples[0]) ? " open" : "")
                .Append("><summary>after step ").Append(Human.Whole(sample.Step)).Append("</summary><blockquote><b>").Append(Text(sample.Prompt))
                .Append("</b>").Append(Text(sample.Text)).Append("</blockquote></details>");
        }
        return html.Append("</section>\n").ToString();
    }

    // The newest first, then evenly back to the first one.
    private static IEnumerable<SampleWritten> Chosen(IReadOnlyList<SampleWritten> samples)
    {
        var count = Math.Min(Shown, samples.Count);
        for (var i = count - 1; i >= 0; i--)
            yield return samples[count == 1 ? samples.Count - 1 : (int)((long)i * (samples.Count - 1) / (count - 1))];
    }
}
