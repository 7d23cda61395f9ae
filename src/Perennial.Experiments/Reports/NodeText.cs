using Perennial.Core.Recipes;

namespace Perennial.Experiments.Reports;

/// <summary>A recipe node in one line, as YAML's flow style would write it.</summary>
internal static class NodeText
{
    public static string Of(RecipeNode node) => node switch
    {
        RecipeScalar scalar => scalar.Text ?? "null",
        RecipeSequence sequence => $"[{string.Join(", ", sequence.Items.Select(Of))}]",
        RecipeMapping mapping => $"{{ {string.Join(", ", mapping.Entries.Select(entry => $"{entry.Key}: {Of(entry.Value)}"))} }}",
        _ => node.Describe,
    };
}
