using Perennial.Core;

namespace Perennial.Experiments.Measured;

/// <summary>
/// Something that is measured by other means than one training of a recipe: launched processes with faults, a simulation, a
/// bench, a pipeline over data. <c>paper.yaml</c> names it (<c>experiment: { kind: … }</c>); arms and sizes change its options through keys
/// that begin with <c>experiment.</c>, and its numbers meet the same hypotheses, verdict and report as those of trainings. A
/// component's constructor takes its options and nothing else.
/// </summary>
[ComponentRole("experiment")]
public interface IExperiment
{
    /// <summary>
    /// Measures one arm with one seed. Numbers that are not themselves times must follow from options, recipe and seed alone. May be called
    /// from several threads at a time unless the paper says <c>parallel: 1</c>.
    /// </summary>
    /// <param name="context">Seed, recipe, folder and the like.</param>
    /// <exception cref="PerennialException">It could not be measured.</exception>
    /// <exception cref="OperationCanceledException">Stopped before the end.</exception>
    ExperimentOutcome Measure(ExperimentContext context);
}
