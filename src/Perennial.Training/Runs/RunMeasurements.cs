using System.Text.Json;
using System.Text.Json.Nodes;
using Perennial.Core;
using Perennial.Data.Yardsticks;
using Perennial.Tensors;
using Perennial.Training.Loop;
using TorchSharp;

namespace Perennial.Training.Runs;

/// <summary>
/// What is measured once a run and not by everyone who goes on with it: the machine's matrix-product ceiling, and what compressors make of the
/// held-out text. A start that need not measure trains a second sooner, which counts after a loss. A cache: a file that is missing, torn or of another
/// machine or text is measured again.
/// </summary>
/// <param name="folder">The run's folder.</param>
internal sealed class RunMeasurements(string folder)
{
    /// <summary>The file's name in a run folder.</summary>
    public const string FileName = "measured.json";

    private readonly string path = Path.Combine(folder, FileName);

    /// <summary>The matrix-product ceiling of this machine, threads and precision, FLOP/s.</summary>
    public double Ceiling(Precision precision, Func<Precision, double> measure) =>
        (double)Known("ceiling", $"{RunFacts.Processor()}, {Environment.ProcessorCount} cores, {torch.get_num_threads()} threads, {precision}", () => measure(precision));

    /// <summary>What compressors make of the held-out text, as the run's facts carry it.</summary>
    public JsonNode Yardsticks(RunParts parts) => Known("yardsticks", $"{parts.Data.Fingerprint}", () => Yardstick.ToJson(CompressionYardsticks.Measure(parts.Data.HeldOutText())));

    private JsonNode Known(string name, string of, Func<JsonNode> measure)
    {
        var known = Read();
        if (known[name] is JsonObject kept && (string?)kept["of"] == of && kept["value"] is { } value) return value.DeepClone();
        var measured = measure();
        known[name] = new JsonObject { ["of"] = of, ["value"] = measured.DeepClone() };
        try
        {
            Directory.CreateDirectory(folder);
            AtomicFile.WriteText(path, known.ToJsonString() + "\n");
        }
        catch (Exception error) when (FileErrors.Is(error))
        {
            // The next one measures again.
        }
        return measured;
    }

    private JsonObject Read()
    {
        try
        {
            return File.Exists(path) && JsonNode.Parse(File.ReadAllText(path)) is JsonObject known ? known : [];
        }
        catch (Exception error) when (error is JsonException || FileErrors.Is(error))
        {
            return [];
        }
    }
}
