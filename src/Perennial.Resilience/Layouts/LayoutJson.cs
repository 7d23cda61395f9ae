using System.Text.Json;
using System.Text.Json.Nodes;
using Perennial.Core;

namespace Perennial.Resilience.Layouts;

/// <summary>
/// Layouts as compact JSON (format 1). Ranks with equal placement share one entry, a run is a list
/// <c>[tensor, logical, local, length]</c> or, strided, <c>[…, count, logicalStride, localStride]</c>; runs of replicas stand apart.
/// </summary>
public static class LayoutJson
{
    private const int Format = 1;

    /// <summary>Writes a layout.</summary>
    public static JsonObject Write(Layout layout)
    {
        ArgumentNullException.ThrowIfNull(layout);
        var placements = new JsonArray();
        var ranks = new JsonArray();
        var known = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (var buffer in layout.Ranks)
        {
            var placement = new JsonObject { ["bytes"] = buffer.Bytes, ["runs"] = Runs(buffer, replica: false), ["replicas"] = Runs(buffer, replica: true) };
            var text = placement.ToJsonString();
            if (!known.TryGetValue(text, out var index))
            {
                known.Add(text, index = placements.Count);
                placements.Add(placement);
            }
            ranks.Add(index);
        }
        var tensors = new JsonArray([.. layout.Tensors.Select(tensor => new JsonObject
        {
            ["name"] = tensor.Name,
            ["shape"] = new JsonArray([.. tensor.Shape.Select(dimension => (JsonNode)dimension)]),
            ["element"] = tensor.ElementBytes,
            ["replicas"] = tensor.Replicas == Replicas.Average ? "average" : "equal",
            ["pattern"] = tensor.Pattern,
            ["whole"] = tensor.Whole,
        })]);
        return new JsonObject { ["format"] = Format, ["tensors"] = tensors, ["placements"] = placements, ["ranks"] = ranks };
    }

    /// <summary>Reads a layout and checks it.</summary>
    /// <param name="json">What <see cref="Write"/> made.</param>
    /// <param name="place">Where it comes from, for messages.</param>
    /// <exception cref="PerennialException">Exit 3: another format, or no valid layout.</exception>
    public static Layout Read(JsonNode? json, string place)
    {
        try
        {
            if (json is null) throw PerennialException.Damaged($"{place}: the layout is missing");
            var format = (int)json["format"]!;
            if (format != Format) throw PerennialException.Damaged($"{place}: layout format {format}; this program reads {Format}");
            var tensors = json["tensors"]!.AsArray().Select(Tensor!).ToList();
            var placements = json["placements"]!.AsArray().Select(Buffer!).ToList();
            return Layout.Of(tensors, json["ranks"]!.AsArray().Select(index => placements[(int)index!]));
        }
        catch (PerennialException error) when (error.Code == ExitCode.Usage)
        {
            throw PerennialException.Damaged($"{place}: the layout is damaged: {error.Message}", error);
        }
        catch (Exception error) when (error is InvalidOperationException or FormatException or NullReferenceException or ArgumentException or OverflowException or JsonException)
        {
            throw PerennialException.Damaged($"{place}: the layout is damaged", error);
        }
    }

    private static LogicalTensor Tensor(JsonNode json) => new(
        (string)json["name"]!, [.. json["shape"]!.AsArray().Select(dimension => (long)dimension!)], (int)json["element"]!,
        (string?)json["replicas"] switch { "equal" => Replicas.Equal, "average" => Replicas.Average, _ => throw new FormatException() },
        (string)json["pattern"]!, (bool)json["whole"]!);

    private static RankBuffer Buffer(JsonNode json) => new((long)json["bytes"]!,
        [.. json["runs"]!.AsArray().Select(run => Run(run!, replica: false)), .. json["replicas"]!.AsArray().Select(run => Run(run!, replica: true))]);

    private static LayoutRun Run(JsonNode json, bool replica)
    {
        var numbers = json.AsArray().Select(number => (long)number!).ToArray();
        return numbers.Length switch
        {
            4 => new(checked((int)numbers[0]), numbers[1], numbers[2], numbers[3], Replica: replica),
            7 => new(checked((int)numbers[0]), numbers[1], numbers[2], numbers[3], numbers[4], numbers[5], numbers[6], replica),
            _ => throw new FormatException(),
        };
    }

    private static JsonArray Runs(RankBuffer buffer, bool replica) => new([.. buffer.Runs.Where(run => run.Replica == replica).Select(run => run.Count == 1
        ? new JsonArray(run.Tensor, run.Logical, run.Local, run.Length)
        : new JsonArray(run.Tensor, run.Logical, run.Local, run.Length, run.Count, run.LogicalStride, run.LocalStride))]);
}
