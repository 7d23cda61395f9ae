using Perennial.Core.Recipes;

namespace Perennial.Experiments.Runs;

/// <summary>Trains one recipe to its end. Must be callable from several threads at a time.</summary>
public interface ITrialRunner
{
    /// <summary>The resolved recipe, every key spelled out: equal text means an equal run.</summary>
    /// <exception cref="Core.PerennialException">Exit 2: the recipe is wrong.</exception>
    string Resolve(RecipeNode recipe);

    /// <summary>Trains, or goes on where an interrupted call stopped.</summary>
    /// <param name="recipe">The recipe.</param>
    /// <param name="folder">The run's folder.</param>
    /// <param name="progress">Takes the finished share of the run, 0 to 1.</param>
    /// <param name="cancellation">Stops at the next step.</param>
    /// <exception cref="OperationCanceledException">Stopped before the end.</exception>
    TrialOutcome Run(RecipeNode recipe, string folder, IProgress<double> progress, CancellationToken cancellation);
}
