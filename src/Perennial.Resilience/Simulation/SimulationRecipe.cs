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
    public static SimulationOptions Load(string path, ComponentRegistry components)
    {
        var node = RecipeDocument.Load(path);
        var options = new RecipeBinder(components).Bind<SimulationOptions>(node);
        if (options.Calibration is not { } file) return options;
        var measured = MeasuredRecoveries.Load(Path.Combine(Path.GetDirectoryName(Path.GetFullPath(path))!, file), components);
        return RecoveryCalibration.Apply(options, measured);
    }
}
