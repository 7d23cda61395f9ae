namespace Perennial.Models;

/// <summary>
/// The part of a decoder that one process computes: a stage's layers, and of each layer some heads, some inner columns and some rows of
/// the vocabulary (Megatron-style tensor parallelism: the first product of a pair is cut by columns, the second by rows).
/// </summary>
public sealed record DecoderShard
{
    /// <summary>The whole model.</summary>
    public required DecoderConfig Config { get; init; }

    /// <summary>First layer of the stage.</summary>
    public int FirstLayer { get; init; }

    /// <summary>One past its last layer.</summary>
    public required int EndLayer { get; init; }

    /// <summary>Whether the stage looks embeddings up (the first does).</summary>
    public bool HoldsEmbedding { get; init; } = true;

    /// <summary>Whether the stage has the last norm and the unembedding (the last does).</summary>
    public bool HoldsHead { get; init; } = true;

    /// <summary>Query heads here.</summary>
    public required int Heads { get; init; }

    /// <summary>Key and value heads here; divides <see cref="Heads"/>.</summary>
    public required int KeyValueHeads { get; init; }

    /// <summary>Columns of the feed-forward part here.</summary>
    public required int Intermediate { get; init; }

    /// <summary>First token id whose row is here.</summary>
    public int FirstRow { get; init; }

    /// <summary>Rows of the vocabulary here.</summary>
    public required int Rows { get; init; }

    /// <summary>Rows that memory holds: those, and zeros up to the width that every rank has.</summary>
    public required int PaddedRows { get; init; }

    /// <summary>The processes that hold the other parts of the same layers.</summary>
    public ITensorPeers Peers { get; init; } = NoPeers.Instance;

    /// <summary>Where the weights are, if not in memory all the time; null where they are.</summary>
    public IParameterWindow? Window { get; init; }

    /// <summary>Whether this is all of the model, with its weights at hand.</summary>
    public bool IsWhole => HoldsEmbedding && HoldsHead && Peers.Size == 1 && Window is null;

    /// <summary>What a block of this part looks like as a model of its own.</summary>
    internal DecoderConfig Local => Config with { Heads = Heads, KeyValueHeads = KeyValueHeads, Intermediate = Intermediate };

    /// <summary>All of a model.</summary>
    public static DecoderShard Whole(DecoderConfig config)
    {
        ArgumentNullException.ThrowIfNull(config);
        return new()
        {
            Config = config, EndLayer = config.Layers, Heads = config.Heads, KeyValueHeads = config.KeyValueHeads,
            Intermediate = config.Intermediate, Rows = config.Vocabulary, PaddedRows = config.Vocabulary,
        };
    }
}
