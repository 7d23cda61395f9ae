using System.IO.Hashing;
using System.Text;
using Perennial.Core.Recipes;

namespace Perennial.Experiments.Runs;

/// <summary>One training run that an experiment needs.</summary>
/// <param name="Name">Names its folder: <c>shuffled-constant-seed-1</c>.</param>
/// <param name="Recipe">Its recipe.</param>
/// <param name="Resolved">Its resolved recipe.</param>
public sealed record Trial(string Name, RecipeNode Recipe, string Resolved)
{
    /// <summary>XXH128 of the resolved recipe and the program's version, hex: a run is done again when either changed.</summary>
    public string Fingerprint { get; } =
        Convert.ToHexStringLower(XxHash128.Hash(Encoding.UTF8.GetBytes($"{typeof(Trial).Assembly.GetName().Version}\n{Resolved}")));
}
