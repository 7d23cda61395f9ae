using System.Text.Json;
using Perennial.Core;

namespace Perennial.Experiments.Reports;

/// <summary>A result as a JSON file.</summary>
public static class ResultFile
{
    /// <summary>The file's name.</summary>
    public const string Name = "result.json";

    /// <summary>How results are written: camel case, indented, plain characters.</summary>
    public static JsonSerializerOptions Json { get; } = new(JsonSerializerDefaults.Web)
    {
        WriteIndented = true,
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    /// <summary>Writes a result, whole or not at all.</summary>
    public static void Write(string path, ExperimentResult result) => AtomicFile.WriteText(path, JsonSerializer.Serialize(result, Json) + "\n");

    /// <summary>Reads a result.</summary>
    /// <exception cref="JsonException">It is not one.</exception>
    public static ExperimentResult Read(string path) =>
        JsonSerializer.Deserialize<ExperimentResult>(File.ReadAllBytes(path), Json) ?? throw new JsonException("the file holds null");
}
