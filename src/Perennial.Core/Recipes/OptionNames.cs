using System.Reflection;
using System.Text;

namespace Perennial.Core.Recipes;

/// <summary>Between C# names and recipe words: <c>WeightDecay</c> ↔ <c>weight-decay</c>.</summary>
public static class OptionNames
{
    /// <summary>The recipe's word of a C# name.</summary>
    public static string ToKey(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        var text = new StringBuilder();
        for (var i = 0; i < name.Length; i++)
        {
            if (char.IsUpper(name[i]) && i > 0 && (!char.IsUpper(name[i - 1]) || (i + 1 < name.Length && char.IsLower(name[i + 1])))) text.Append('-');
            text.Append(char.ToLowerInvariant(name[i]));
        }
        return text.ToString();
    }

    /// <summary>The properties of a record that a recipe may set.</summary>
    public static IReadOnlyList<PropertyInfo> Settable(Type type)
    {
        ArgumentNullException.ThrowIfNull(type);
        return [.. type.GetProperties(BindingFlags.Public | BindingFlags.Instance).Where(property => property.SetMethod is not null && property.GetIndexParameters().Length == 0)];
    }

    /// <summary>The recipe words of an enum's members.</summary>
    public static IReadOnlyDictionary<string, object> EnumWords(Type type) =>
        Enum.GetNames(type).ToDictionary(ToKey, name => Enum.Parse(type, name), StringComparer.Ordinal);
}
