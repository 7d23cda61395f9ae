using System.Text;
using Perennial.Core;
using Perennial.Data.Injection;
using Perennial.Data.Preparation;
using Perennial.Data.Streams;

namespace Perennial.Data.Inspection;

/// <summary>One prepared document as a person wants to see it.</summary>
/// <param name="Source">Number of the source in the recipe.</param>
/// <param name="HeldOut">Which side of the split it is on.</param>
/// <param name="Number">Its number in its shard.</param>
/// <param name="Origin">Where it came from.</param>
/// <param name="Tokens">Its tokens, without end-of-text.</param>
/// <param name="Bytes">Its UTF-8 bytes.</param>
/// <param name="Scores">Its scores.</param>
/// <param name="Text">Its text, after filters.</param>
public sealed record InspectedDocument(
    int Source, bool HeldOut, long Number, Provenance Origin, int Tokens, int Bytes, IReadOnlyDictionary<string, double> Scores, string Text);

/// <summary>One training sample as a person wants to see it.</summary>
/// <param name="Position">Its position in the run, counted in samples.</param>
/// <param name="SampleId">Its identity: <c>source &lt;&lt; 48 | window</c>.</param>
/// <param name="Source">Number of the source in the recipe.</param>
/// <param name="Window">Its number in its source.</param>
/// <param name="Epoch">How often its source was gone through before.</param>
/// <param name="Origins">Documents that it holds text of, in order.</param>
/// <param name="Ids">Its input ids.</param>
/// <param name="Text">The same as text, end-of-text tokens left out.</param>
public sealed record InspectedWindow(
    long Position, long SampleId, int Source, long Window, long Epoch, IReadOnlyList<Provenance> Origins, IReadOnlyList<int> Ids, string Text);

/// <summary>Which sample lies at a position, and where it comes from.</summary>
/// <param name="Position">Its position in the run, counted in samples.</param>
/// <param name="SampleId">Its identity: <c>source &lt;&lt; 48 | window</c>.</param>
/// <param name="Source">Number of the source in the recipe.</param>
/// <param name="Window">Its number in its source.</param>
/// <param name="Epoch">How often its source was gone through before.</param>
/// <param name="Origins">Documents that it holds text of, in order.</param>
/// <param name="Planted">What experiments planted over it.</param>
public sealed record InspectedSample(long Position, long SampleId, int Source, long Window, long Epoch, IReadOnlyList<Provenance> Origins, IReadOnlyList<Planted> Planted);

/// <summary>Looks into prepared data: what <c>perennial data inspect</c> shows.</summary>
public static class DataInspector
{
    /// <summary>Documents of a shard, from a number on.</summary>
    /// <exception cref="PerennialException">Exit 2: there is no such source.</exception>
    public static IEnumerable<InspectedDocument> Documents(PreparedData data, int source, bool heldOut, long first, int count)
    {
        ArgumentNullException.ThrowIfNull(data);
        if (source < 0 || source >= data.Train.Count) throw PerennialException.Usage($"there is no source {source}; the recipe has {data.Train.Count}, counted from 0");
        ArgumentOutOfRangeException.ThrowIfNegative(first);
        var shard = (heldOut ? data.HeldOut : data.Train)[source];
        for (var number = first; number < Math.Min(shard.Documents, first + count); number++)
        {
            var ids = shard.Document(number);
            var text = data.Tokenizer.Decode(ids);
            yield return new InspectedDocument(source, heldOut, number, shard.Origin(number), ids.Length, text.Length,
                shard.ScoreNames.ToDictionary(name => name, name => shard.Scores(name)![number], StringComparer.Ordinal), Encoding.UTF8.GetString(text));
        }
    }

    /// <summary>The samples that training sees at positions <paramref name="first"/> … <paramref name="first"/> + count − 1, with their text.</summary>
    public static IEnumerable<InspectedWindow> Windows(PreparedData data, SampleStream stream, long first, int count)
    {
        ArgumentNullException.ThrowIfNull(data);
        ArgumentNullException.ThrowIfNull(stream);
        foreach (var (position, id, source, window, epoch, origins, _) in Samples(data, stream, first, first + count))
        {
            var ids = Array.ConvertAll(stream.Read(position, 1).Inputs, token => (int)token);
            yield return new InspectedWindow(position, id, source, window, epoch, origins, ids, Encoding.UTF8.GetString(data.Tokenizer.Decode(ids)));
        }
    }

    /// <summary>Identity and provenance of the samples at positions <paramref name="from"/> … <paramref name="to"/> − 1.</summary>
    public static IEnumerable<InspectedSample> Samples(PreparedData data, SampleStream stream, long from, long to)
    {
        ArgumentNullException.ThrowIfNull(data);
        ArgumentNullException.ThrowIfNull(stream);
        for (var position = from; position < to; position++)
        {
            var (source, window, epoch) = stream.Locate(position);
            yield return new InspectedSample(position, stream.SampleAt(position), source, window, epoch, [.. stream.DocumentsOf(source, window).Select(data.Train[source].Origin)], stream.Injections?.At(position) ?? []);
        }
    }
}
