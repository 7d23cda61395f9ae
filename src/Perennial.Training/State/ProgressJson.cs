using System.Text.Json;
using System.Text.Json.Serialization;
using Perennial.Core;

namespace Perennial.Training.State;

/// <summary>Progress as JSON: what <c>state/progress.json</c> holds and what the state hash covers. Doubles round-trip exactly.</summary>
public static class ProgressJson
{
    private static readonly JsonSerializerOptions Options = new() { NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals };

    /// <summary>Writes it on one line.</summary>
    public static string Write(Progress progress) => JsonSerializer.Serialize(progress, Options);

    /// <summary>Reads it back.</summary>
    /// <exception cref="PerennialException">Exit 3: damaged.</exception>
    public static Progress Read(string json, string place)
    {
        try
        {
            return JsonSerializer.Deserialize<Progress>(json, Options) ?? throw PerennialException.Damaged($"{place}: holds no progress");
        }
        catch (JsonException error)
        {
            throw PerennialException.Damaged($"{place}: is damaged: {error.Message.ReplaceLineEndings(" ")}", error);
        }
    }
}
