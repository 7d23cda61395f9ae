using System.Globalization;

namespace Perennial.Core.Recipes;

/// <summary>Single values between recipe text and C#.</summary>
internal static class ScalarValues
{
    public static bool Handles(Type type) => type.IsEnum || type == typeof(string) || type == typeof(bool) || type == typeof(Count) || type == typeof(RunLength) || type == typeof(SavingInterval)
        || type == typeof(int) || type == typeof(long) || type == typeof(ulong) || type == typeof(float) || type == typeof(double);

    public static object Read(RecipeNode node, Type type, string key)
    {
        if (node is not RecipeScalar scalar) throw node.Error($"'{key}' must be {Wanted(type)}; found {node.Describe}");
        if (scalar.Text is not { } text) throw node.Error($"'{key}' has no value; it must be {Wanted(type)}");
        return TryRead(text, type) ?? throw node.Error($"'{key}' must be {Wanted(type)}; found '{text}'{EnumHint(text, type)}");
    }

    private static object? TryRead(string text, Type type)
    {
        if (type == typeof(string)) return text;
        if (type.IsEnum) return OptionNames.EnumWords(type).GetValueOrDefault(text);
        if (type == typeof(bool)) return text switch { "true" or "True" or "yes" or "on" => true, "false" or "False" or "no" or "off" => false, _ => null };
        if (type == typeof(Count)) return Count.TryParse(text, out var count) ? count : null;
        if (type == typeof(RunLength)) return RunLength.TryParse(text, out var length) && length.Amount >= 0 ? length : null;
        if (type == typeof(SavingInterval)) return SavingInterval.TryParse(text, out var interval) ? interval : null;
        if (type == typeof(double)) return Number(text);
        if (type == typeof(float)) return Number(text) is { } number && float.IsFinite((float)number) ? (float)number : null;
        if (type == typeof(ulong)) return ulong.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var natural) ? natural : null;
        if (!Count.TryParse(text, out var whole)) return null;
        if (type == typeof(long)) return whole.Value;
        return whole.Value is >= int.MinValue and <= int.MaxValue ? (int)whole.Value : null;
    }

    private static double? Number(string text)
    {
        var scale = 1.0;
        if (text.EndsWith('%')) (text, scale) = (text[..^1], 0.01);
        return double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var number) && double.IsFinite(number) ? number * scale : null;
    }

    /// <summary>The text that reads back as the value.</summary>
    public static string Write(object value) => value switch
    {
        bool flag => flag ? "true" : "false",
        double number => number.ToString("R", CultureInfo.InvariantCulture),
        float number => number.ToString("R", CultureInfo.InvariantCulture),
        Enum word => OptionNames.ToKey(word.ToString()),
        IFormattable formattable => formattable.ToString(null, CultureInfo.InvariantCulture),
        _ => value.ToString() ?? "",
    };

    public static string Wanted(Type type) => type switch
    {
        _ when type.IsEnum => "one of " + string.Join(", ", OptionNames.EnumWords(type).Keys),
        _ when type == typeof(string) => "text",
        _ when type == typeof(bool) => "true or false",
        _ when type == typeof(Count) => "a whole number, such as 4096 or 2M",
        _ when type == typeof(RunLength) => "a length, such as 100 steps, 2M tokens or 5%",
        _ when type == typeof(SavingInterval) => "a length, such as 100 steps, 2M tokens or 5%, or auto",
        _ when type == typeof(double) || type == typeof(float) => "a number",
        _ => "a whole number",
    };

    private static string EnumHint(string text, Type type) =>
        type.IsEnum && Nearest.To(text, OptionNames.EnumWords(type).Keys) is { } near ? $", did you mean '{near}'?" : "";
}
