using System.Text.Json.Nodes;

namespace Perennial.Data.Yardsticks;

/// <summary>What a well-known compressor needs for a text: the figure a model's bits per byte stand beside.</summary>
/// <param name="Name">The compressor as a person would call it, such as <c>xz -9e</c>.</param>
/// <param name="Bytes">Compressed size; null when it could not be measured.</param>
/// <param name="BitsPerByte">8 · compressed / original; null when it could not be measured.</param>
/// <param name="Missing">Why it was not measured; null when it was.</param>
public sealed record Yardstick(string Name, long? Bytes, double? BitsPerByte, string? Missing)
{
    /// <summary>A measured yardstick.</summary>
    public static Yardstick Measured(string name, long compressed, long original) => new(name, compressed, 8.0 * compressed / original, null);

    /// <summary>The yardsticks as the run's facts and <c>evaluate --json</c> carry them.</summary>
    public static JsonArray ToJson(IEnumerable<Yardstick> yardsticks)
    {
        ArgumentNullException.ThrowIfNull(yardsticks);
        return new JsonArray([.. yardsticks.Select(one => (JsonNode)(one.Missing is null
            ? new JsonObject { ["name"] = one.Name, ["bytes"] = one.Bytes, ["bits_per_byte"] = one.BitsPerByte }
            : new JsonObject { ["name"] = one.Name, ["missing"] = one.Missing }))]);
    }

    /// <summary>Reads what <see cref="ToJson"/> wrote; entries it does not understand are left out.</summary>
    public static IReadOnlyList<Yardstick> FromJson(JsonNode? node) => node is not JsonArray array
        ? []
        : [.. array.OfType<JsonObject>().Where(one => one["name"] is JsonValue).Select(one => new Yardstick(
            (string)one["name"]!, (long?)Number(one["bytes"]), Number(one["bits_per_byte"]), (string?)one["missing"]))];

    // Through text: a node made from an int in memory does not convert to a double, a parsed one does.
    private static double? Number(JsonNode? node) => (double?)JsonNode.Parse(node?.ToJsonString() ?? "null");
}
