using System.IO.Hashing;
using System.Text;
using Perennial.Core;
using Perennial.Core.Recipes;
using Perennial.Data.Orders;
using Perennial.Data.Preparation;
using Perennial.Data.Shards;

namespace Perennial.Data.Streams;

/// <summary>
/// The training stream over prepared shards. Window w of a source is its tokens [w·T, w·T + T], so that the last token of
/// one window is the first of the next and every token but the first is a target once an epoch.
/// </summary>
public sealed class SampleStream : ISampleStream
{
    private const int SourceShift = 48;
    private readonly IReadOnlyList<TokenShard> shards;
    private readonly IReadOnlyList<ISampleOrder> orders;
    private readonly long[] windows;
    private readonly long[] lengths; // windows of an epoch, [sources]
    private readonly MixtureSchedule mixture;
    private readonly DocumentBoundary boundary;

    /// <summary>Makes the stream of a recipe's data.</summary>
    /// <param name="data">Prepared shards.</param>
    /// <param name="options">The recipe's data.</param>
    /// <param name="time">Tokens a window.</param>
    /// <param name="seed">The run's seed.</param>
    /// <exception cref="PerennialException">Exit 2: a source with weight is shorter than one window, or an order asks for a score no document has.</exception>
    public SampleStream(PreparedData data, DataOptions options, int time, ulong seed)
    {
        ArgumentNullException.ThrowIfNull(data);
        ArgumentNullException.ThrowIfNull(options);
        (shards, Time, boundary) = (data.Train, time, options.Documents);
        windows = [.. shards.Select(shard => (shard.Tokens - 1) / time)];
        for (var i = 0; i < windows.Length; i++)
        {
            if (windows[i] <= 0 && options.Sources[i].Weight > 0)
                throw PerennialException.Usage($"data source '{options.Sources[i].Path}': {shards[i].Tokens} training tokens are fewer than one window of {time} + 1; give more text or a smaller model.context");
        }
        mixture = new MixtureSchedule([.. options.Sources.Select(source => source.Weight)], seed);
        orders = [.. shards.Select((_, i) => windows[i] <= 0 || options.Sources[i].Weight <= 0 ? new SequentialOrder() : options.Order.Create(new OrderContext(seed, i, windows[i], name => WindowScores(i, name))))];
        lengths = [.. orders.Select((order, i) => order.Length(Math.Max(0, windows[i])))];
        SamplesPerEpoch = Enumerable.Range(0, windows.Length).Where(i => options.Sources[i].Weight > 0).Max(i => mixture.PositionAfter(i, lengths[i]));
        Fingerprint = Convert.ToHexStringLower(XxHash128.Hash(Encoding.UTF8.GetBytes(
            $"{string.Join(' ', shards.Select(shard => shard.Checksum))} {string.Join(' ', options.Sources.Select(source => source.Weight.ToString("R")))} {RecipeWriter.ToYaml(options.Order)} {options.Documents} {time} {seed}")));
    }

    /// <inheritdoc/>
    public int Time { get; }

    /// <inheritdoc/>
    public long SamplesPerEpoch { get; }

    /// <inheritdoc/>
    public string Fingerprint { get; }

    /// <summary>Samples that each source gives among the first n: delivered shares.</summary>
    public IReadOnlyList<long> Delivered(long samples) => [.. Enumerable.Range(0, shards.Count).Select(source => mixture.Delivered(source, samples))];

    /// <summary>Which window of which source lies at a position, and how often that source was gone through before.</summary>
    public (int Source, long Window, long Epoch) Locate(long position)
    {
        var (source, rank) = mixture.At(position);
        var (epoch, place) = Math.DivRem(rank, lengths[source]);
        return (source, orders[source].Window(epoch, place), epoch);
    }

    /// <inheritdoc/>
    public TokenBatch Read(long first, int rows)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(first);
        var ids = new long[rows];
        for (var row = 0; row < rows; row++) ids[row] = SampleAt(first + row);
        return ReadSamples(ids);
    }

    /// <summary>The identity of the sample at a position: <c>source index &lt;&lt; 48 | window index</c>.</summary>
    public long SampleAt(long position)
    {
        var (source, window, _) = Locate(position);
        return (long)source << SourceShift | window;
    }

    /// <summary>Reads samples by identity, wherever the order puts them: for replay and inspection.</summary>
    public TokenBatch ReadSamples(IReadOnlyList<long> ids)
    {
        ArgumentNullException.ThrowIfNull(ids);
        var batch = new TokenBatch(ids.Count, Time)
        {
            Inputs = new long[ids.Count * Time],
            Targets = new long[ids.Count * Time],
            Segments = boundary == DocumentBoundary.Separate ? new int[ids.Count * Time] : null,
            SampleIds = [.. ids],
        };
        var tokens = new long[Time + 1];
        for (var row = 0; row < ids.Count; row++)
        {
            var shard = shards[(int)(ids[row] >> SourceShift)];
            var start = (ids[row] & ((1L << SourceShift) - 1)) * Time;
            shard.Read(start, tokens);
            tokens.AsSpan(0, Time).CopyTo(batch.Inputs.AsSpan(row * Time));
            tokens.AsSpan(1, Time).CopyTo(batch.Targets.AsSpan(row * Time));
            if (batch.Segments is not null) Separate(shard, start, batch, row);
        }
        return batch;
    }

    /// <summary>Numbers the documents of a row and takes out targets that begin a document.</summary>
    private void Separate(TokenShard shard, long start, TokenBatch batch, int row)
    {
        var document = shard.DocumentOf(start);
        var segment = 0;
        for (var t = 0; t < Time; t++)
        {
            while (start + t >= shard.DocumentStart(document + 1)) (document, segment) = (document + 1, segment + 1);
            batch.Segments![row * Time + t] = segment;
            if (start + t + 1 == shard.DocumentStart(document + 1)) batch.Targets[row * Time + t] = TokenBatch.Ignored;
        }
    }

    private double[] WindowScores(int source, string name)
    {
        var shard = shards[source];
        var scores = shard.Scores(name)
            ?? throw PerennialException.Usage($"data.order: documents have no score '{name}'{(shard.ScoreNames.Count > 0 ? $"; they have {string.Join(", ", shard.ScoreNames)}" : "; give one by a filter or a numeric field")}");
        var means = new double[windows[source]];
        for (var window = 0L; window < windows[source]; window++)
        {
            // Token-weighted mean of the documents that the window covers.
            var (start, end, sum) = (window * Time, (window + 1) * Time, 0.0);
            for (var document = shard.DocumentOf(start); start < end; document++)
            {
                var until = Math.Min(end, shard.DocumentStart(document + 1));
                sum += scores[document] * (until - start);
                start = until;
            }
            means[window] = sum / Time;
        }
        return means;
    }
}
