using System.Text.Json.Nodes;
using Perennial.Data.Preparation;
using Perennial.Data.Streams;

namespace Perennial.Data.Inspection;

/// <summary>Prepared data in numbers: what <c>perennial data stats</c> shows and the run's facts carry.</summary>
/// <param name="Fingerprint">Hash of everything the shards depend on.</param>
/// <param name="Folder">Cache folder.</param>
/// <param name="Vocabulary">Ids of the tokenizer.</param>
/// <param name="Time">Tokens a window.</param>
/// <param name="SamplesPerEpoch">Samples after which every source has been seen in full.</param>
/// <param name="Sources">Per source.</param>
public sealed record DataSummary(string Fingerprint, string Folder, int Vocabulary, int Time, long SamplesPerEpoch, IReadOnlyList<SourceSummary> Sources)
{
    /// <summary>UTF-8 bytes a token, over all training text.</summary>
    public double BytesPerToken => Sources.Sum(source => source.Statistics.Tokens) is > 0 and var tokens ? Sources.Sum(source => source.Statistics.TextBytes) / (double)tokens : 0;

    /// <summary>Sums prepared data up.</summary>
    /// <param name="data">The data.</param>
    /// <param name="stream">Its training stream.</param>
    /// <param name="samples">Samples of a run, to tell delivered from promised shares; one epoch when null.</param>
    public static DataSummary Of(PreparedData data, SampleStream stream, long? samples = null)
    {
        ArgumentNullException.ThrowIfNull(data);
        ArgumentNullException.ThrowIfNull(stream);
        var run = Math.Max(1, samples ?? stream.SamplesPerEpoch);
        var delivered = stream.Delivered(run);
        var promised = stream.Promised(run);
        return new DataSummary(data.Fingerprint, data.Folder, data.Tokenizer.VocabularySize, stream.Time, stream.SamplesPerEpoch, [.. data.Statistics.Select((source, i) =>
            new SourceSummary(source, stream.Packed(i).Windows, promised[i] / run, delivered[i] / (double)run, delivered[i] / (double)Math.Max(1, stream.Windows[i]), stream.Packed(i).Padding))]);
    }

    /// <summary>The summary as JSON.</summary>
    public JsonObject ToJson() => new()
    {
        ["fingerprint"] = Fingerprint,
        ["folder"] = Folder,
        ["vocabulary"] = Vocabulary,
        ["time"] = Time,
        ["samples_per_epoch"] = SamplesPerEpoch,
        ["bytes_per_token"] = BytesPerToken,
        ["sources"] = new JsonArray([.. Sources.Select(source => (JsonNode)source.ToJson())]),
    };
}

/// <summary>One source in numbers.</summary>
/// <param name="Statistics">What preparation saw.</param>
/// <param name="Windows">Training windows.</param>
/// <param name="Promised">Share of the samples by the mixture's weights, 0 to 1.</param>
/// <param name="Delivered">Share of the samples that the run really takes from it, 0 to 1.</param>
/// <param name="Epochs">Passes over it.</param>
/// <param name="Padding">Share of its windows' places that hold no text: what packing wastes, 0 to 1.</param>
public sealed record SourceSummary(SourceStatistics Statistics, long Windows, double Promised, double Delivered, double Epochs, double Padding)
{
    /// <summary>The summary as JSON.</summary>
    public JsonObject ToJson() => new()
    {
        ["path"] = Statistics.Path,
        ["weight"] = Statistics.Weight,
        ["documents"] = Statistics.Documents,
        ["bytes"] = Statistics.TextBytes,
        ["tokens"] = Statistics.Tokens,
        ["held_out_documents"] = Statistics.HeldOutDocuments,
        ["held_out_bytes"] = Statistics.HeldOutBytes,
        ["held_out_tokens"] = Statistics.HeldOutTokens,
        ["windows"] = Windows,
        ["promised_share"] = Promised,
        ["delivered_share"] = Delivered,
        ["epochs"] = Epochs,
        ["padding_share"] = Padding,
        ["rejected"] = new JsonObject(Statistics.Rejected.Select(pair => KeyValuePair.Create(pair.Key, (JsonNode?)pair.Value))),
    };
}
