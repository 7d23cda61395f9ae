using System.ComponentModel.DataAnnotations;
using Perennial.Core;
using Perennial.Resilience.Layouts;

namespace Perennial.Training.Recipes;

/// <summary>What the processes of a fixed shape do when one of them is lost.</summary>
public enum ReshapeChoice
{
    /// <summary>Go on at once in the best shape that those who are left can run, and take the recipe's again when it is complete.</summary>
    Shrink,

    /// <summary>Wait until another process has taken the lost one's place: every step is computed under the recipe's shape.</summary>
    Wait,
}

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

    /// <summary>Under tensor, pipeline or ZeRO, what is done when a process is lost: <c>shrink</c> to a smaller shape, or <c>wait</c> for its successor.</summary>
    public ReshapeChoice Reshape { get; init; } = ReshapeChoice.Shrink;

    /// <summary>The shape.</summary>
    public ParallelShape Shape => new(Data, Tensor, Pipeline, Zero);

    /// <summary>Whether every process has a place of its own, so that all are needed for a step; plain data parallelism goes on with whoever is left.</summary>
    public bool IsFixed => Tensor > 1 || Pipeline > 1 || Zero > 0;

    /// <inheritdoc/>
    public IEnumerable<(string Key, string Problem)> Problems()
    {
        if (Reshape == ReshapeChoice.Wait && !IsFixed) yield return ("reshape", "is for tensor, pipeline or zero; plain data parallelism goes on with whoever is left (resilience.policy)");
        if (Zero == 2) yield return ("zero", "is 0, 1 (the optimizer's state is cut over the data processes) or 3 (weights and gradients too)");
    }
}
