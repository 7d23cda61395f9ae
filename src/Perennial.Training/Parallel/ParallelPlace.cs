using Perennial.Core;
using Perennial.Data.Mixtures;
using Perennial.Models;
using Perennial.Objectives;
using Perennial.Optimization;
using Perennial.Resilience.Layouts;
using Perennial.Resilience.Partition;
using Perennial.Tensors;
using Perennial.Training.Recipes;

namespace Perennial.Training.Parallel;

/// <summary>One process's place in a recipe's parallel shape.</summary>
/// <param name="Shape">The shape.</param>
/// <param name="Rank">The rank.</param>
/// <param name="Cut">Which layers each stage has; null for equally many.</param>
public sealed record ParallelPlace(ParallelShape Shape, int Rank, StagePartition? Cut = null)
{
    /// <summary>Refuses a number of workers that the recipe's <c>parallel:</c> does not make up.</summary>
    /// <exception cref="PerennialException">Exit 2.</exception>
    public static void RequireWorkers(Recipe recipe, int workers, string what)
    {
        ArgumentNullException.ThrowIfNull(recipe);
        if (recipe.Parallel is not { } parallel || parallel.Shape.Ranks == workers) return;
        throw PerennialException.Usage($"{what}: the recipe's parallel: {{ data: {parallel.Data}, tensor: {parallel.Tensor}, pipeline: {parallel.Pipeline} }} takes {parallel.Shape.Ranks} (data * tensor * pipeline); start it with: perennial launch --workers {parallel.Shape.Ranks}");
    }

    /// <summary>The place of a process; null where every process has the whole model.</summary>
    /// <exception cref="PerennialException">Exit 2: another number of processes than the recipe takes, or parts that cannot be cut.</exception>
    public static ParallelPlace? Of(Recipe recipe, ParallelSettings? settings)
    {
        ArgumentNullException.ThrowIfNull(recipe);
        RequireWorkers(recipe, settings?.WorldSize ?? 1, settings is null ? "one process" : $"{settings.WorldSize} workers");
        if (recipe.Parallel is not { IsFixed: true, Shape: var shape }) return null;
        if (settings is null) throw PerennialException.Usage("parallel: start it with: perennial launch --workers 1");
        if (shape.Data > recipe.Training.Batch) throw PerennialException.Usage($"parallel.data: {shape.Data} processes for {recipe.Training.Batch} windows a step (training.batch)");
        RequireParts(recipe, shape);
        return new ParallelPlace(shape, settings.Rank);
    }

    /// <summary>This process's part of the model.</summary>
    /// <exception cref="PerennialException">Exit 2: the model cannot be cut so.</exception>
    internal ParallelDecoder Make(Recipe recipe, DecoderConfig config, Precision precision, DecoderExecution execution) =>
        new(Placement(recipe, config), Rank, precision, execution);

    /// <summary>Where everything is.</summary>
    /// <exception cref="PerennialException">Exit 2: the model cannot be cut so.</exception>
    internal DecoderPlacement Placement(Recipe recipe, DecoderConfig config) => new(config, Shape, atTensors: Shape.Zero > 0 && !IsElementwise(recipe), Cut);

    /// <summary>Whether a recipe can be trained under another shape than its own with the same tensor degree and ZeRO stage.</summary>
    internal static bool Allows(Recipe recipe, DecoderConfig config, ParallelShape shape) =>
        shape.Data <= recipe.Training.Batch && shape.Pipeline <= config.Layers && !(shape is { Zero: 3, Pipeline: > 1 } && config.TiedHead)
        && (shape.Zero < 3 || IsEven(recipe, shape)) && (shape.Pipeline == 1 || typeof(IVocabularyParallel).IsAssignableFrom(recipe.Objective.Implementation));

    private static bool IsEven(Recipe recipe, ParallelShape shape)
    {
        var rows = recipe.Training.MicroBatch ?? 1;
        return ParallelShares.Of(recipe.Training.Batch, shape.Data).Select(share => (share.End.Value - share.Start.Value + rows - 1) / rows).Distinct().Count() == 1;
    }

    private static bool IsElementwise(Recipe recipe) => typeof(IElementwiseOptimizer).IsAssignableFrom(recipe.Optimizer.Implementation);

    /// <summary>Refuses components that need more than a process has.</summary>
    private static void RequireParts(Recipe recipe, ParallelShape shape)
    {
        if (!recipe.Parameterization.Create().Form.IsPlain)
            throw PerennialException.Usage($"parallel: parameterization '{recipe.Parameterization.Kind}' is for whole models; use data parallelism (tensor: 1, pipeline: 1, zero: 0)");
        if (recipe.Stages.Count > 0) throw PerennialException.Usage("parallel: runs of stages need the whole model on every process; use data parallelism (tensor: 1, pipeline: 1, zero: 0)");
        if (recipe.Training.Sums == SumChoice.Exact) throw PerennialException.Usage("training.sums: exact sums are for plain data parallelism; leave 'parallel' out or set sums: fast");
        if (recipe.Resilience.Policy.Kind != new ResilienceOptions().Policy.Kind) throw PerennialException.Usage($"resilience.policy: '{recipe.Resilience.Policy.Kind}' is for plain data parallelism; under tensor, pipeline or ZeRO parallel.reshape says what is done about a lost process");
        var cutsModel = shape.Tensor > 1 || shape.Pipeline > 1;
        if (cutsModel && !typeof(IVocabularyParallel).IsAssignableFrom(recipe.Objective.Implementation))
            throw PerennialException.Usage($"parallel: objective '{recipe.Objective.Kind}' needs the whole model; use data parallelism (tensor: 1, pipeline: 1)");
        if (recipe.Data.Mixture.Implementation.IsAssignableTo(typeof(OnlineMixture)))
            throw PerennialException.Usage($"parallel: mixture '{recipe.Data.Mixture.Kind}' follows losses of the whole model; use data parallelism (tensor: 1, pipeline: 1, zero: 0)");
        if (shape.Tensor > 1 && !IsElementwise(recipe))
            throw PerennialException.Usage($"parallel: optimizer '{recipe.Optimizer.Kind}' moves whole matrices, which tensor parallelism cuts; use tensor: 1 (ZeRO then cuts between matrices)");
        if (shape.Zero == 3)
        {
            if (!IsEven(recipe, shape))
                throw PerennialException.Usage($"parallel: with zero: 3 every data process takes equally many micro-batches; {recipe.Training.Batch} windows over {shape.Data} processes in pieces of {recipe.Training.MicroBatch ?? 1} do not come out even (training.batch, training.micro-batch)");
            if (recipe.Practices.FirstOrDefault(practice => practice.Implementation != typeof(Practices.EvaluatePractice)) is { } needing)
                throw PerennialException.Usage($"parallel: practice '{needing.Kind}' needs all weights of its part at once, which zero: 3 does not keep; use zero: 1");
        }
        if (recipe.Practices.FirstOrDefault(practice => !typeof(IPartwisePractice).IsAssignableFrom(practice.Implementation)) is { } practice)
            throw PerennialException.Usage($"parallel: practice '{practice.Kind}' needs the whole model and its gradient; use data parallelism (tensor: 1, pipeline: 1, zero: 0)");
    }
}
