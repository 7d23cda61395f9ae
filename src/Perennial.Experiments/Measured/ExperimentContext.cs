using Perennial.Core.Recipes;

namespace Perennial.Experiments.Measured;

/// <summary>What an experiment is given for one arm and seed.</summary>
public sealed record ExperimentContext
{
    /// <summary>The seed.</summary>
    public required ulong Seed { get; init; }

    /// <summary>The paper's recipe as this arm changes it, seed set; null when the paper names none.</summary>
    public RecipeNode? Recipe { get; init; }

    /// <summary>A folder of its own for whatever it writes. It exists, and after a stop holds what the stopped call left.</summary>
    public required string Folder { get; init; }

    /// <summary>Components that recipes may name.</summary>
    public required ComponentRegistry Components { get; init; }

    /// <summary>Starts this program again, for experiments with processes of their own.</summary>
    public required ProgramCommand Program { get; init; }

    /// <summary>Takes the finished share, 0 to 1.</summary>
    public required IProgress<double> Progress { get; init; }

    /// <summary>Stops it.</summary>
    public CancellationToken Cancellation { get; init; }
}
