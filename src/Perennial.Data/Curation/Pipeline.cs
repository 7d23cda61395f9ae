using Perennial.Core;
using Perennial.Data.Preparation;

namespace Perennial.Data.Curation;

/// <summary>One operator of a pipeline.</summary>
/// <param name="Number">Its number in the pipeline.</param>
/// <param name="Kind">Its kind.</param>
/// <param name="PerSource">The filter of every source; the same one for all unless it learns from its source.</param>
internal sealed record PipelineStep(int Number, string Kind, IReadOnlyList<IFilter> PerSource);

/// <summary>A stretch of a pipeline that every document goes through by itself.</summary>
/// <param name="Number">Its number.</param>
/// <param name="Decides">The corpus operator whose decisions are carried out first, or null.</param>
/// <param name="Steps">The filters, in order; the first may learn from the stage before.</param>
internal sealed record Segment(int Number, PipelineStep? Decides, IReadOnlyList<PipelineStep> Steps)
{
    /// <summary>The corpus operator.</summary>
    public ICorpusFilter? Corpus => (ICorpusFilter?)Decides?.PerSource[0];

    /// <summary>Whether the first filter wants to see the stage before it.</summary>
    public bool Learns => Steps.Count > 0 && Steps[0].PerSource[0].Learns;
}

/// <summary>A recipe's pipeline, cut where an operator must have seen everything before it.</summary>
internal sealed class Pipeline
{
    public Pipeline(CurationPlan plan)
    {
        var (sources, seed) = (plan.Sources.Count, plan.Seed);
        object[] all = [new FilterContext(seed), .. plan.Services];
        var (decides, steps) = ((PipelineStep?)null, new List<PipelineStep>());
        var segments = new List<Segment>();
        void Close(PipelineStep? next)
        {
            segments.Add(new Segment(segments.Count, decides, steps));
            (decides, steps) = (next, []);
        }
        HeldOutApart = plan.HeldOutPipeline is not null;
        foreach (var (number, spec) in plan.Pipeline.Index())
        {
            var first = spec.Create(all);
            var step = new PipelineStep(number, spec.Kind, [first, .. Enumerable.Range(1, Math.Max(0, sources - 1)).Select(_ => first.Learns ? spec.Create(all) : first)]);
            Kinds.Add(spec.Kind);
            // Which documents are held out is known when all were read once.
            if (HeldOutApart && segments.Count == 0) Close(null);
            if (first is ICorpusFilter) Close(step);
            else
            {
                if (segments.Count == 0 ? first.Learns || !first.AppliesToHeldOut : first.Learns && (steps.Count > 0 || decides is not null)) Close(null);
                steps.Add(step);
            }
        }
        if (HeldOutApart && segments.Count == 0) Close(null);
        Close(null);
        Segments = segments;
        HeldOutSteps = [.. (plan.HeldOutPipeline ?? []).Select((spec, i) =>
        {
            var filter = spec.Create(all);
            if (filter is ICorpusFilter || filter.Learns) throw PerennialException.Usage($"data.held-out-pipeline: '{spec.Kind}' looks at the whole corpus; held-out documents are filtered one by one");
            Kinds.Add($"held-out {spec.Kind}");
            return new PipelineStep(plan.Pipeline.Count + i, $"held-out {spec.Kind}", [.. Enumerable.Repeat(filter, Math.Max(1, sources))]);
        })];
    }

    public IReadOnlyList<Segment> Segments { get; }

    /// <summary>Whether held-out documents have operators of their own.</summary>
    public bool HeldOutApart { get; }

    /// <summary>Those operators; the last segment runs them.</summary>
    public IReadOnlyList<PipelineStep> HeldOutSteps { get; }

    public List<string> Kinds { get; } = [];

    /// <summary>Whether a component's results depend on the run's seed (its constructor asks for a <see cref="FilterContext"/>).</summary>
    public static bool DependsOnSeed(ComponentSpec<IFilter> spec) =>
        spec.Implementation.GetConstructors().Any(constructor => constructor.GetParameters().Any(parameter => parameter.ParameterType == typeof(FilterContext)));
}
