using Perennial.Core;

namespace Perennial.Data.Preparation;

/// <summary>What a filter's constructor may ask for beside its options.</summary>
/// <param name="Seed">The run's seed, for draws keyed by document.</param>
public sealed record FilterContext(ulong Seed);

/// <summary>The filters of one source, made from the recipe's pipeline.</summary>
internal sealed class FilterChain
{
    private readonly List<(string Kind, IFilter Filter)> filters;

    public FilterChain(IEnumerable<ComponentSpec<IFilter>> pipeline, ulong seed) =>
        filters = [.. pipeline.Select(spec => (spec.Kind, spec.Create(new FilterContext(seed))))];

    /// <summary>Whether some filter wants to see every training document first.</summary>
    public bool Learns => filters.Any(entry => entry.Filter.Learns);

    /// <summary>Lets those filters see one training document.</summary>
    public void Learn(Document document, long index)
    {
        foreach (var (_, filter) in filters.Where(entry => entry.Filter.Learns)) filter.Learn(document, index);
    }

    /// <summary>Takes a document through; a reason for rejection begins with the filter's kind.</summary>
    public FilterResult Apply(Document document, long index, bool heldOut)
    {
        var result = FilterResult.Keep(document);
        foreach (var (kind, filter) in filters)
        {
            if (heldOut && !filter.AppliesToHeldOut) continue;
            result = filter.Apply(result.Document!, index);
            if (result.Document is null) return FilterResult.Reject($"{kind}: {result.Reason}");
        }
        return result.Document!.Text.IsEmpty ? FilterResult.Reject("nothing left after filtering") : result;
    }

    /// <summary>Whether a component's results depend on the run's seed (its constructor asks for a <see cref="FilterContext"/>).</summary>
    public static bool DependsOnSeed(ComponentSpec<IFilter> spec) =>
        spec.Implementation.GetConstructors().Any(constructor => constructor.GetParameters().Any(parameter => parameter.ParameterType == typeof(FilterContext)));
}
