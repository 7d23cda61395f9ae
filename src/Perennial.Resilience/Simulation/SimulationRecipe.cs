using Perennial.Core;
using Perennial.Core.Recipes;

namespace Perennial.Resilience.Simulation;

/// <summary>Reads simulation recipes.</summary>
public static class SimulationRecipe
{
    /// <summary>Loads a recipe, with its calibration where it names one.</summary>
    /// <param name="path">The YAML file.</param>
    /// <param name="components">Where policies are found; <see cref="ComponentRegistry.ScanHouse"/> for all.</param>
    /// <exception cref="PerennialException">Exit 2, with file, line, column and key.</exception>
    public static SimulationOptions Load(string path, ComponentRegistry components) => Load(path, components, null).Options;

    /// <summary>Loads a recipe and calibrates it.</summary>
    /// <param name="path">The YAML file.</param>
    /// <param name="components">Where policies are found.</param>
    /// <param name="recorded">Measured recoveries in the place of those that the recipe names; null for the recipe's own.</param>
    /// <returns>The calibrated options, and what they were calibrated by; null for nothing.</returns>
    /// <exception cref="PerennialException">Exit 2, with file, line, column and key.</exception>
    public static (SimulationOptions Options, MeasuredRecoveries? Measured) Load(string path, ComponentRegistry components, MeasuredRecoveries? recorded)
    {
        var options = new RecipeBinder(components).Bind<SimulationOptions>(RecipeDocument.Load(path));
        var measured = recorded ?? (options.Calibration is { } file ? MeasuredRecoveries.Load(Path.Combine(Path.GetDirectoryName(Path.GetFullPath(path))!, file), components) : null);
        return (measured is null ? options : RecoveryCalibration.Apply(options, measured), measured);
    }
}
