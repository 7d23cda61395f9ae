using System.Text.Json;
using System.Text.Json.Nodes;
using Perennial.Core;

namespace Perennial.Models.HuggingFace;

/// <summary>
/// Typed reads of one <c>config.json</c>. A key that is absent or null takes the family's default; a value of the wrong type
/// or range is refused by name.
/// </summary>
/// <param name="json">The object to read.</param>
/// <param name="path">The file, for messages.</param>
internal sealed class ConfigReader(JsonObject json, string path)
{
    private const int Largest = 1 << 24;

    /// <summary>The file, for messages.</summary>
    public string Path { get; } = path;

    /// <summary>Whether the key stands there, be it null.</summary>
    public bool Has(string key) => json.ContainsKey(key);

    /// <summary>The raw value.</summary>
    public JsonNode? this[string key] => json[key];

    /// <summary>A nested object; null where there is none.</summary>
    public ConfigReader? Object(string key) => json[key] switch
    {
        null => null,
        JsonObject nested => new ConfigReader(nested, Path),
        var other => throw Refuse($"'{key}' must be an object; found {Shown(other)}"),
    };

    /// <summary>A text.</summary>
    public string? Text(string key) => json[key] switch
    {
        null => null,
        JsonValue value when value.GetValueKind() == JsonValueKind.String => (string?)value,
        var other => throw Refuse($"'{key}' must be a text; found {Shown(other)}"),
    };

    /// <summary>A truth value.</summary>
    public bool Flag(string key, bool fallback) => json[key] switch
    {
        null => fallback,
        JsonValue value when value.GetValueKind() is JsonValueKind.True or JsonValueKind.False => value.GetValueKind() == JsonValueKind.True,
        var other => throw Refuse($"'{key}' must be true or false; found {Shown(other)}"),
    };

    /// <summary>A whole number from 1 on.</summary>
    public int Size(string key, int fallback)
    {
        if (json[key] is null) return fallback;
        var size = Raw(key);
        return size is >= 1 and <= Largest && size == Math.Floor(size) ? (int)size : throw Refuse($"'{key}' must be a whole number from 1 to {Largest}; found {Shown(json[key]!)}");
    }

    /// <summary>A finite number above 0.</summary>
    public double Number(string key, double fallback)
    {
        if (json[key] is null) return fallback;
        var number = Raw(key);
        return double.IsFinite(number) && number > 0 ? number : throw Refuse($"'{key}' must be above 0; found {Shown(json[key]!)}");
    }

    /// <summary>Refuses every value of a flag but one: what it says would change the computation.</summary>
    public void OnlyFlag(string key, bool only)
    {
        if (Flag(key, only) != only) throw Refuse($"'{key}: {(only ? "false" : "true")}' is not supported");
    }

    /// <summary>Refuses every value of a text but some.</summary>
    public string OneOf(string key, string fallback, params string[] allowed)
    {
        var value = Text(key) ?? fallback;
        return allowed.Contains(value) ? value : throw Refuse($"'{key}: {value}' is not supported; known: {string.Join(", ", allowed)}");
    }

    /// <summary>The error: one line, whatever a hostile file holds.</summary>
    public PerennialException Refuse(string problem) =>
        PerennialException.Damaged($"{Path}: {string.Concat(problem.Take(300).Select(c => char.IsControl(c) ? '?' : c))}");

    private double Raw(string key) => json[key] is JsonValue value && value.GetValueKind() == JsonValueKind.Number
        ? value.GetValue<JsonElement>().GetDouble()
        : throw Refuse($"'{key}' must be a number; found {Shown(json[key]!)}");

    private static string Shown(JsonNode node)
    {
        var text = node.ToJsonString();
        return text.Length > 60 ? text[..60] + "…" : text;
    }
}
