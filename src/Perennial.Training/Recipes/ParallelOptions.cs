using System.ComponentModel.DataAnnotations;
using Perennial.Core;
using Perennial.Resilience.Layouts;

namespace Perennial.Training.Recipes;

/// <summary>
/// The recipe's <c>parallel:</c>: how many processes work in each way. Their product is the number of workers. Samples, global batch and
/// gradient scale are the recipe's whatever stands here, so it may change between runs of one folder.
/// </summary>
public sealed record ParallelOptions : IValidatedOptions
{
    /// <summary>Processes with the same part of the model and different rows of every batch.</summary>
    [Range(1, 4096)]
    public int Data { get; init; } = 1;

    /// <summary>Processes that share every layer: heads, inner columns and rows of the vocabulary.</summary>
    [Range(1, 64)]
    public int Tensor { get; init; } = 1;

    /// <summary>Stages of consecutive layers.</summary>
    [Range(1, 256)]
    public int Pipeline { get; init; } = 1;

    /// <summary>What the data processes cut between them instead of each holding it: 0 nothing, 1 the optimizer's state, 3 the weights and gradients too.</summary>
    [Range(0, 3)]
    public int Zero { get; init; }

    /// <summary>MiB of gradient that the data processes add up at one time, while the backward pass computes the rest; 0 waits for all of it.</summary>
    [Range(0, 65536)]
    public int Bucket { get; init; } = 4;

    /// <summary>The shape.</summary>
    public ParallelShape Shape => new(Data, Tensor, Pipeline, Zero);

    /// <summary>Whether every process has a place of its own, so that all are needed for a step; plain data parallelism goes on with whoever is left.</summary>
    public bool IsFixed => Tensor > 1 || Pipeline > 1 || Zero > 0;

    /// <inheritdoc/>
    public IEnumerable<(string Key, string Problem)> Problems()
    {
        if (Zero == 2) yield return ("zero", "is 0, 1 (the optimizer's state is cut over the data processes) or 3 (weights and gradients too)");
    }
}
