using System.IO.Hashing;
using System.Text;
using Perennial.Core;
using Perennial.Core.Recipes;
using Perennial.Data.Injection;
using Perennial.Data.Mixtures;
using Perennial.Data.Orders;
using Perennial.Data.Packing;
using Perennial.Data.Preparation;
using Perennial.Data.Shards;

namespace Perennial.Data.Streams;

/// <summary>
/// The training stream over prepared shards: how documents lie in windows is the packing's affair, in which order windows come the order's, and
/// from which source the mixture's.
/// </summary>
public sealed class SampleStream : ISampleStream
{
    private const int SourceShift = 48;
    private const long WindowMask = (1L << SourceShift) - 1;

    private readonly IReadOnlyList<TokenShard> shards;
    private readonly IReadOnlyList<ISampleOrder> orders;
    private readonly long[] windows;
    private readonly long[] lengths; // windows of an epoch, [sources]
    private readonly double[] weights;
    private readonly IMixture mixture;
    private readonly MixtureTimeline timeline;
    private readonly Lock deciding = new();
    private readonly DocumentBoundary boundary;
    private readonly IWindowing[] windowings;

    /// <summary>Makes the stream of a recipe's data.</summary>
    /// <param name="data">Prepared shards.</param>
    /// <param name="options">The recipe's data.</param>
    /// <param name="time">Tokens a window.</param>
    /// <param name="seed">The run's seed.</param>
    /// <param name="run">The run's length, which mixtures are laid out by; needed by those that change along it.</param>
    /// <param name="lossesOf">Held-out losses under a checkpoint, for mixtures that compare with one; null outside a run.</param>
    /// <exception cref="PerennialException">Exit 2: a source with weight is shorter than one window, or an order asks for a score no document has.</exception>
    public SampleStream(PreparedData data, DataOptions options, int time, ulong seed, RunShape? run = null, Func<string, IReadOnlyList<double>>? lossesOf = null)
    {
        ArgumentNullException.ThrowIfNull(data);
        ArgumentNullException.ThrowIfNull(options);
        (shards, Time, boundary) = (data.Train, time, options.Documents);
        weights = [.. options.Sources.Select(source => source.Weight)];
        var answers = AnswerMark.Of(options, data.Tokenizer);
        windowings = [.. shards.Select(shard => (IWindowing)(options.Packing == PackingKind.BestFit ? new BestFitWindowing(shard, time, data.Tokenizer.EndOfText, answers) : new ChunkWindowing(shard, time, boundary, answers)))];
        windows = [.. windowings.Select(windowing => windowing.Windows)];
        for (var i = 0; i < windows.Length; i++)
        {
            if (windows[i] <= 0 && options.Sources[i].Weight > 0)
                throw PerennialException.Usage($"data source '{options.Sources[i].Path}': {shards[i].Tokens} training tokens are fewer than one window of {time} + 1; give more text or a smaller model.context");
        }
        orders = [.. shards.Select((_, i) => windows[i] <= 0 || options.Sources[i].Weight <= 0 ? new SequentialOrder() : options.Order.Create(new OrderContext(seed, i, windows[i], name => WindowScores(i, name))))];
        lengths = [.. orders.Select((order, i) => order.Length(Math.Max(0, windows[i])))];
        mixture = options.Mixture.Create(new MixtureContext([.. options.Sources.Select((source, i) => new MixtureSource(source.Path, source.Weight, lengths[i]))], run ?? new RunShape(1, 1, time)) { LossesOf = lossesOf });
        timeline = new MixtureTimeline(shards.Count, seed);
        Injections = options.Injections.Count == 0 ? null : new InjectionPlan(options.Injections, data.Tokenizer, time, run ?? new RunShape(1, 1, time), seed);
        Fingerprint = Convert.ToHexStringLower(XxHash128.Hash(Encoding.UTF8.GetBytes(
            $"{string.Join(' ', shards.Select(shard => shard.Checksum))} {string.Join(' ', options.Sources.Select(source => source.Weight.ToString("R")))} {RecipeWriter.ToYaml(options.Order)} {options.Documents} {time} {seed}{(mixture is WeightedMixture ? "" : $" {RecipeWriter.ToYaml(options.Mixture)}")}{(answers is null ? "" : $" answers {options.Answers}")}{(options.Packing == PackingKind.Chunk ? "" : " best-fit")}{(Injections is null ? "" : $" {Injections.Fingerprint}")}")));
    }

    /// <inheritdoc/>
    public int Time { get; }

    /// <inheritdoc/>
    public long SamplesPerEpoch
    {
        get
        {
            // An online mixture that has not decided yet is counted at the recipe's weights.
            if (!mixture.IsOnline) Reach(0);
            var first = timeline.End > 0 ? timeline.First : new MixtureSchedule([.. weights], 0);
            return Enumerable.Range(0, windows.Length).Where(i => first.Gives(i)).Max(i => first.PositionAfter(i, lengths[i]));
        }
    }

    /// <inheritdoc/>
    public string Fingerprint { get; }

    /// <summary>What is planted into the stream; null for nothing. Planted text belongs to positions: reading samples by identity does not show it.</summary>
    public InjectionPlan? Injections { get; }

    /// <summary>The mixture.</summary>
    public IMixture Mixture => mixture;

    /// <summary>Windows that one pass over each source reads, <c>[sources]</c>.</summary>
    public IReadOnlyList<long> Windows => lengths;

    /// <summary>Position behind the last whose source is decided; reads beyond it fail for online mixtures and decide for others.</summary>
    public long Decided => timeline.End;

    /// <summary>Samples that each source gives among the first n: delivered shares.</summary>
    /// <exception cref="PerennialException">Exit 2: an online mixture has not decided that far.</exception>
    public IReadOnlyList<long> Delivered(long samples)
    {
        Reach(samples - 1);
        return timeline.Delivered(samples);
    }

    /// <summary>Samples that the mixture's weights promise each source among the first n.</summary>
    /// <exception cref="PerennialException">Exit 2: an online mixture has not decided that far.</exception>
    public IReadOnlyList<double> Promised(long samples)
    {
        Reach(samples - 1);
        return timeline.Promised(samples);
    }

    /// <summary>Asks the mixture for the weights of the next stretch.</summary>
    /// <param name="losses">Present held-out losses, <c>[sources]</c>; null for a mixture that does not follow them.</param>
    /// <returns>The decision.</returns>
    public MixtureSegment Decide(IReadOnlyList<double>? losses)
    {
        lock (deciding)
        {
            var position = timeline.End;
            var chosen = mixture.Weights(new MixtureMoment(position, timeline.Delivered(position)), losses);
            for (var i = 0; i < windows.Length; i++)
            {
                if (chosen[i] > 0 && weights[i] <= 0) throw PerennialException.Usage($"data.mixture: gives weight to source {i}, whose own weight is 0; give it a weight in data.sources");
            }
            timeline.Add(new MixtureSegment(position, mixture.Next(position), chosen, losses));
            return timeline.Segments[^1];
        }
    }

    /// <summary>What was decided so far; null for a mixture whose first weights hold for ever, which the recipe already says.</summary>
    public MixtureRecord? Record() => timeline.Segments is [{ Until: < long.MaxValue }, ..] segments ? new MixtureRecord { Segments = segments, State = mixture.Save() } : null;

    /// <summary>Takes decisions back, in place of its own; null for none.</summary>
    /// <exception cref="PerennialException">Exit 3: they are not a mixture's over these sources.</exception>
    public void Replay(MixtureRecord? record)
    {
        lock (deciding)
        {
            timeline.Clear();
            try
            {
                foreach (var segment in record?.Segments ?? []) timeline.Add(segment);
                mixture.Load(record?.State);
            }
            catch (Exception error) when (error is ArgumentException or InvalidOperationException or NullReferenceException or FormatException)
            {
                throw PerennialException.Damaged($"the recorded mixture does not fit the recipe's sources: {error.Message.ReplaceLineEndings(" ")}", error);
            }
        }
    }

    /// <summary>Which window of which source lies at a position, and how often that source was gone through before.</summary>
    /// <exception cref="PerennialException">Exit 2: an online mixture has not decided that far.</exception>
    public (int Source, long Window, long Epoch) Locate(long position)
    {
        Reach(position);
        var (source, rank) = timeline.At(position);
        var (epoch, place) = Math.DivRem(rank, lengths[source]);
        return (source, orders[source].Window(epoch, place), epoch);
    }

    /// <summary>Numbers of the documents that a window holds text of, in the window's order.</summary>
    public IEnumerable<long> DocumentsOf(int source, long window) => windowings[source].Parts(window).Select(part => part.Document);

    /// <summary>Windows of a source, and the share of their places that hold no text.</summary>
    public (long Windows, double Padding) Packed(int source) => (windows[source], windows[source] == 0 ? 0 : windowings[source].Padding / (double)(windows[source] * Time));

    /// <summary>The sample that a source gives after <paramref name="rank"/> others: for runs on one source alone.</summary>
    public long SampleOf(int source, long rank)
    {
        var (epoch, place) = Math.DivRem(rank, lengths[source]);
        return (long)source << SourceShift | orders[source].Window(epoch, place);
    }

    private void Reach(long position)
    {
        while (position >= timeline.End)
        {
            if (mixture.IsOnline) throw PerennialException.Usage($"position {position}: the mixture follows losses, and they have decided the first {timeline.End} samples only; name the run or checkpoint whose record to read");
            lock (deciding)
            {
                if (position >= timeline.End) Decide(null);
            }
        }
    }

    /// <inheritdoc/>
    public TokenBatch Read(long first, int rows)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(first);
        var ids = new long[rows];
        SamplesAt(first, ids);
        var batch = ReadSamples(ids);
        if (Injections is null) return batch;
        for (var row = 0; row < rows; row++)
            Injections.Apply(first + row, batch.Inputs.AsSpan(row * Time, Time), batch.Targets.AsSpan(row * Time, Time), batch.Segments is null ? [] : batch.Segments.AsSpan(row * Time, Time));
        return batch;
    }

    /// <summary>The identity of the sample at a position: <c>source index &lt;&lt; 48 | window index</c>.</summary>
    public long SampleAt(long position)
    {
        var (source, window, _) = Locate(position);
        return (long)source << SourceShift | window;
    }

    /// <summary>The identities of the samples at consecutive positions: what <see cref="SampleAt"/> says of each.</summary>
    /// <param name="first">The first position.</param>
    /// <param name="ids">Receives them.</param>
    public void SamplesAt(long first, Span<long> ids)
    {
        if (ids.IsEmpty) return;
        Reach(first + ids.Length - 1);
        var sources = new int[ids.Length];
        var (counts, ranks) = (new int[orders.Count], new long[orders.Count]);
        for (var row = 0; row < ids.Length; row++)
        {
            var (source, rank) = timeline.At(first + row);
            if (counts[source]++ == 0) ranks[source] = rank;
            sources[row] = source;
        }
        // Ranks of a source rise one by one with the position, so that each order is asked for one stretch, or two where an epoch ends.
        var windows = new long[ids.Length];
        for (var source = 0; source < orders.Count; source++)
        {
            for (var done = 0; done < counts[source];)
            {
                var (epoch, place) = Math.DivRem(ranks[source] + done, lengths[source]);
                var count = (int)Math.Min(counts[source] - done, lengths[source] - place);
                orders[source].Windows(epoch, place, windows.AsSpan(done, count));
                done += count;
            }
            for (var (row, taken) = (0, 0); taken < counts[source]; row++)
            {
                if (sources[row] == source) ids[row] = (long)source << SourceShift | windows[taken++];
            }
        }
    }

    /// <summary>Reads samples by identity, wherever the order puts them: for replay and inspection.</summary>
    public TokenBatch ReadSamples(IReadOnlyList<long> ids)
    {
        ArgumentNullException.ThrowIfNull(ids);
        var batch = new TokenBatch(ids.Count, Time)
        {
            // Windows write every place.
            Inputs = GC.AllocateUninitializedArray<long>(ids.Count * Time),
            Targets = GC.AllocateUninitializedArray<long>(ids.Count * Time),
            Segments = boundary == DocumentBoundary.Separate ? new int[ids.Count * Time] : null,
            SampleIds = [.. ids],
        };
        var ahead = TokenShard.Ahead(Time);
        for (var row = 0; row < ids.Count; row++)
        {
            var place = row * Time;
            var (source, window) = ((int)(ids[row] >> SourceShift), ids[row] & WindowMask);
            // A later row of the same source is asked for meanwhile.
            var later = row + ahead < ids.Count && (int)(ids[row + ahead] >> SourceShift) == source ? ids[row + ahead] & WindowMask : window;
            windowings[source].Fill(window, batch.Inputs.AsSpan(place, Time), batch.Targets.AsSpan(place, Time), batch.Segments is null ? [] : batch.Segments.AsSpan(place, Time), later);
        }
        return batch;
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
            var (sum, tokens) = (0.0, 0L);
            foreach (var (document, count) in windowings[source].Parts(window)) (sum, tokens) = (sum + scores[document] * count, tokens + count);
            means[window] = sum / tokens;
        }
        return means;
    }
}
