namespace Perennial.Data.Mixtures;

/// <summary>A mixture that may ask for a graph of which source helps which, learned by short runs before the first step.</summary>
public interface IGraphMixture : IMixture
{
    /// <summary>How the graph is to be learned; null when it is there.</summary>
    GraphLearningOptions? Wanted { get; }

    /// <summary>Takes the learned graph, <c>[sources, sources]</c>: entry (i, j) says how much source i helps source j; the diagonal is 1.</summary>
    void Take(double[][] learned);
}
