using System.Text.Json;
using Perennial.Core;

namespace Perennial.Data.Mixtures;

/// <summary>Which source helps which: matrices, files, and what short runs say.</summary>
public static class SkillGraph
{
    internal const string Learn = "learn";
    internal const string Shuffled = "shuffled";
    internal static readonly string[] Words = [Learn, Shuffled, "identity", "complete"];

    /// <summary>The graph that a word or a file gives; null for those that are learned.</summary>
    /// <exception cref="PerennialException">Exit 2: the file holds no matrix of this size.</exception>
    internal static double[][]? Given(string graph, int sources) => graph switch
    {
        Learn or Shuffled => null,
        "identity" => Make(sources, (i, j) => i == j ? 1 : 0),
        "complete" => Make(sources, (_, _) => 1),
        _ => Read(graph, sources),
    };

    /// <summary>Share of the possible edges between different sources that are there, 0 to 1.</summary>
    public static double Density(double[][] graph)
    {
        ArgumentNullException.ThrowIfNull(graph);
        return graph.Length < 2 ? 0 : Make(graph.Length, (i, j) => i != j && graph[i][j] > 0 ? 1 : 0).Sum(row => row.Sum()) / (graph.Length * (graph.Length - 1));
    }

    /// <summary>A control of the same density and strength: the edges of sources counted from the other end, so that a chain runs backwards.</summary>
    public static double[][] Permuted(double[][] graph)
    {
        ArgumentNullException.ThrowIfNull(graph);
        return Make(graph.Length, (i, j) => graph[^(i + 1)][^(j + 1)]);
    }

    /// <summary>A graph over some sources as one over all: the others help nobody but themselves.</summary>
    /// <param name="graph">The graph.</param>
    /// <param name="places">Number of the source that each row stands for.</param>
    /// <param name="sources">Number of all sources.</param>
    public static double[][] Spread(double[][] graph, int[] places, int sources)
    {
        ArgumentNullException.ThrowIfNull(graph);
        return Make(sources, (i, j) => Array.IndexOf(places, i) is var row and >= 0 && Array.IndexOf(places, j) is var column and >= 0 ? graph[row][column] : i == j ? 1 : 0);
    }

    /// <summary>The graph that short runs say.</summary>
    /// <param name="before">Losses before, <c>[sources]</c>.</param>
    /// <param name="alone">Losses after training on source i alone, <c>[sources][sources]</c>.</param>
    /// <param name="together">Losses after training on i and j half and half, for i below j; null for the linear method.</param>
    /// <param name="options">How.</param>
    public static double[][] From(IReadOnlyList<double> before, IReadOnlyList<IReadOnlyList<double>> alone, IReadOnlyDictionary<(int I, int J), IReadOnlyList<double>>? together, GraphLearningOptions options)
    {
        ArgumentNullException.ThrowIfNull(before);
        ArgumentNullException.ThrowIfNull(alone);
        ArgumentNullException.ThrowIfNull(options);
        return Make(before.Count, (i, j) =>
        {
            if (i == j) return 1;
            if (together is not null)
            {
                var both = together[(Math.Min(i, j), Math.Max(i, j))][j];
                return both < alone[j][j] * (1 - options.Threshold) ? options.OffDiagonal : 0;
            }
            double Drop(int by) => Math.Max(0, before[j] - alone[by][j]) / before[j];
            return Drop(i) < options.Threshold ? 0 : Math.Min(1, Drop(i) / Math.Max(Drop(j), options.Threshold));
        });
    }

    private static double[][] Make(int sources, Func<int, int, double> entry) =>
        [.. Enumerable.Range(0, sources).Select(i => Enumerable.Range(0, sources).Select(j => entry(i, j)).ToArray())];

    private static double[][] Read(string path, int sources)
    {
        try
        {
            var graph = JsonSerializer.Deserialize<double[][]>(File.ReadAllBytes(path));
            if (graph?.Length == sources && graph.All(row => row?.Length == sources && row.All(entry => entry >= 0))) return graph;
            throw PerennialException.Usage($"{path}: must be a matrix of {sources} rows and columns, entries at least 0: [[1, 0.5], [0, 1]]");
        }
        catch (Exception error) when (error is JsonException or IOException or UnauthorizedAccessException)
        {
            throw PerennialException.Usage($"{path}: is no JSON matrix: {error.Message.ReplaceLineEndings(" ")}", error);
        }
    }
}
