using System.Text.Json.Serialization;

namespace Perennial.Data.Accounting;

/// <summary>A removed document as a person wants to see it.</summary>
/// <param name="Place">File and line.</param>
/// <param name="Reason">Why it was removed, with what is particular to it.</param>
/// <param name="Excerpt">The beginning of its text.</param>
/// <param name="Rank">A hash of its place: the samples of lowest rank are kept, so they do not depend on who met them first.</param>
public sealed record RemovedSample(string Place, string Reason, string Excerpt, ulong Rank);

/// <summary>What one operator did, in numbers that add up.</summary>
public sealed class OperatorAccount
{
    /// <summary>Samples kept for each reason.</summary>
    public const int SamplesOfReason = 4;

    /// <summary>The operator's kind.</summary>
    public string Kind { get; init; } = "";

    /// <summary>Documents that came in.</summary>
    public long Documents { get; set; }

    /// <summary>Their bytes of text.</summary>
    public long Bytes { get; set; }

    /// <summary>Documents that went on.</summary>
    public long KeptDocuments { get; set; }

    /// <summary>Their bytes of text, as they went on.</summary>
    public long KeptBytes { get; set; }

    /// <summary>Documents whose text was changed.</summary>
    public long Changed { get; set; }

    /// <summary>Processor time spent, seconds over all threads. Not part of anything that is compared.</summary>
    public double Seconds { get; set; }

    /// <summary>Removed documents by reason.</summary>
    public SortedDictionary<string, long> Removed { get; init; } = new(StringComparer.Ordinal);

    /// <summary>What else was counted, by name.</summary>
    public SortedDictionary<string, long> Counts { get; init; } = new(StringComparer.Ordinal);

    /// <summary>What a corpus operator noted, by name.</summary>
    public SortedDictionary<string, double> Notes { get; init; } = new(StringComparer.Ordinal);

    /// <summary>Some removed documents of every reason.</summary>
    public SortedDictionary<string, List<RemovedSample>> Samples { get; init; } = new(StringComparer.Ordinal);

    /// <summary>Megabytes of text a second of processor time.</summary>
    [JsonIgnore]
    public double MegabytesPerSecond => Seconds > 0 ? Bytes / 1e6 / Seconds : 0;

    /// <summary>Adds another account of the same operator.</summary>
    public void Add(OperatorAccount other)
    {
        ArgumentNullException.ThrowIfNull(other);
        (Documents, Bytes, KeptDocuments, KeptBytes) = (Documents + other.Documents, Bytes + other.Bytes, KeptDocuments + other.KeptDocuments, KeptBytes + other.KeptBytes);
        (Changed, Seconds) = (Changed + other.Changed, Seconds + other.Seconds);
        foreach (var (reason, count) in other.Removed) Removed[reason] = Removed.GetValueOrDefault(reason) + count;
        foreach (var (name, count) in other.Counts) Counts[name] = Counts.GetValueOrDefault(name) + count;
        foreach (var (name, value) in other.Notes) Notes[name] = value;
        foreach (var (reason, samples) in other.Samples)
        {
            foreach (var sample in samples) Keep(reason, sample.Rank, () => sample);
        }
    }

    /// <summary>Keeps a sample if its rank is among the lowest of its reason.</summary>
    public void Keep(string reason, ulong rank, Func<RemovedSample> sample)
    {
        ArgumentNullException.ThrowIfNull(sample);
        if (!Samples.TryGetValue(reason, out var kept)) Samples[reason] = kept = [];
        if (kept.Count == SamplesOfReason && rank >= kept[^1].Rank) return;
        var made = sample();
        var at = kept.FindIndex(one => one.Rank > rank);
        kept.Insert(at < 0 ? kept.Count : at, made);
        if (kept.Count > SamplesOfReason) kept.RemoveAt(SamplesOfReason);
    }
}
