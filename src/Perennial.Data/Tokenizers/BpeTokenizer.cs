using System.IO.Hashing;
using System.Runtime.InteropServices;
using System.Text;

namespace Perennial.Data.Tokenizers;

/// <summary>A token beside the merges.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Content">Its text, such as <c>&lt;|endoftext|&gt;</c>.</param>
/// <param name="Control">
/// Whether it steers the model: such a token is never produced by encoding text, so that no text can smuggle one in (Hugging
/// Face's libraries do find them in text). Others are plain words outside the merges, and are found in text.
/// </param>
public sealed record SpecialToken(int Id, string Content, bool Control = true);

/// <summary>
/// Byte-level BPE (Sennrich et al. 2016; Radford et al. 2019): pieces of bytes are merged by rank, lowest first. Exact on
/// arbitrary bytes: where every byte has an id (always, but in small tokenizers made elsewhere), encoding never fails, and
/// decoding gives the same bytes. Thread-safe.
/// </summary>
public sealed class BpeTokenizer : ITokenizer
{
    private readonly PreTokenizer preTokenizer;
    private readonly PieceMerger merger;
    private readonly PieceCache cache = new();
    private readonly byte[]?[] tokens;
    private readonly AddedWords? addedWords;

    /// <summary>Makes a tokenizer.</summary>
    /// <param name="tokens">Bytes of every id; null for special tokens and unused ids.</param>
    /// <param name="merges">Pairs of ids in rank order, and what they become.</param>
    /// <param name="special">Special tokens.</param>
    /// <param name="endOfText">Id written between documents.</param>
    /// <param name="pattern">Pattern of the pre-tokenizer.</param>
    /// <param name="ignoreMerges">Whether a piece that is a token is that token, whatever the merges say (Llama 3).</param>
    public BpeTokenizer(byte[]?[] tokens, IReadOnlyList<(int Left, int Right, int Merged)> merges, IReadOnlyList<SpecialToken> special, int endOfText, string pattern, bool ignoreMerges = false)
    {
        ArgumentNullException.ThrowIfNull(tokens);
        ArgumentNullException.ThrowIfNull(merges);
        ArgumentNullException.ThrowIfNull(special);
        this.tokens = tokens;
        Merges = merges;
        Special = special;
        EndOfText = endOfText;
        IgnoreMerges = ignoreMerges;
        preTokenizer = new PreTokenizer(pattern);
        if (special.Any(token => !token.Control)) addedWords = new AddedWords(special.Where(token => !token.Control));
        merger = new PieceMerger(tokens, merges, ignoreMerges);
        Fingerprint = Hash();
    }

    /// <inheritdoc/>
    public int VocabularySize => tokens.Length;

    /// <inheritdoc/>
    public int EndOfText { get; }

    /// <inheritdoc/>
    public string Fingerprint { get; }

    /// <summary>The pre-tokenizer's pattern.</summary>
    public string Pattern => preTokenizer.Pattern;

    /// <summary>Merges in rank order.</summary>
    public IReadOnlyList<(int Left, int Right, int Merged)> Merges { get; }

    /// <summary>Special tokens.</summary>
    public IReadOnlyList<SpecialToken> Special { get; }

    /// <summary>Whether a piece that is a token is that token, whatever the merges say.</summary>
    public bool IgnoreMerges { get; }

    /// <summary>The bytes of an id; null for special tokens and unused ids.</summary>
    public byte[]? TokenBytes(int id) => tokens[id];

    /// <inheritdoc/>
    public void Encode(ReadOnlySpan<byte> text, List<int> ids)
    {
        ArgumentNullException.ThrowIfNull(ids);
        var buffer = new IdBuffer(ids);
        try
        {
            while (addedWords?.Find(text) is { } found)
            {
                EncodePieces(text[..found.Start], ref buffer);
                buffer.Free(1)[0] = found.Id;
                buffer.Advance(1);
                text = text[(found.Start + found.Length)..];
            }
            EncodePieces(text, ref buffer);
        }
        finally
        {
            buffer.Complete();
        }
    }

    private void EncodePieces(ReadOnlySpan<byte> text, ref IdBuffer ids)
    {
        if (preTokenizer.Scanner is not { } scanner)
        {
            // A handler cannot hold a ref: its ids come by way of a list.
            var found = new List<int>();
            preTokenizer.Split(text, piece =>
            {
                var own = new IdBuffer(found);
                EncodePiece(piece, 0, piece.Length, ref own);
                own.Complete();
            });
            CollectionsMarshal.AsSpan(found).CopyTo(ids.Free(found.Count));
            ids.Advance(found.Count);
            return;
        }
        var isValid = System.Text.Unicode.Utf8.IsValid(text);
        while (!text.IsEmpty)
        {
            var valid = isValid ? text : text[..PreTokenizer.ValidPrefix(text)];
            for (var start = 0; start < valid.Length;)
            {
                var end = scanner.Next(valid, start);
                EncodePiece(valid, start, end - start, ref ids);
                start = end;
            }
            text = text[valid.Length..];
            // Bytes that are no UTF-8 stand alone.
            for (int bad; (bad = PreTokenizer.InvalidPrefix(text)) > 0; text = text[bad..]) EncodePiece(text, 0, bad, ref ids);
        }
    }

    private void EncodePiece(ReadOnlySpan<byte> text, int start, int length, ref IdBuffer ids)
    {
        var free = ids.Free(length);
        if (length > PieceCache.LongestPiece)
        {
            ids.Advance(merger.Merge(text.Slice(start, length), free));
            return;
        }
        var key = new PieceKey(text, start, length);
        if (cache.Find(key) is { } known)
        {
            free[0] = known.First;
            if (known.Count > 1)
            {
                free[1] = known.Second;
                known.All?.CopyTo(free);
            }
            ids.Advance(known.Count);
            return;
        }
        var count = merger.Merge(text.Slice(start, length), free);
        cache.Add(key, free[..count]);
        ids.Advance(count);
    }

    /// <inheritdoc/>
    public byte[] Decode(ReadOnlySpan<int> ids)
    {
        using var bytes = new MemoryStream();
        foreach (var id in ids)
        {
            if (id >= 0 && id < tokens.Length && tokens[id] is { } token) bytes.Write(token);
            else if (id != EndOfText && Special.FirstOrDefault(special => special.Id == id) is { } special) bytes.Write(Encoding.UTF8.GetBytes(special.Content));
        }
        return bytes.ToArray();
    }

    /// <summary>The file it was read from, kept so that saving gives the same bytes; null for a tokenizer made here.</summary>
    internal TokenizerFiles? Files { get; init; }

    /// <inheritdoc/>
    public void Save(string folder) => TokenizerJson.Save(this, folder);

    private string Hash()
    {
        var hash = new XxHash128();
        hash.Append(Encoding.UTF8.GetBytes($"bpe 1 {EndOfText} {IgnoreMerges} {Pattern}\n"));
        foreach (var token in tokens)
        {
            hash.Append(BitConverter.GetBytes(token?.Length ?? -1));
            hash.Append(token ?? []);
        }
        foreach (var (left, right, merged) in Merges) hash.Append(MemoryMarshal.AsBytes<int>(new[] { left, right, merged }));
        foreach (var special in Special) hash.Append(Encoding.UTF8.GetBytes($"{special.Id} {special.Control} {special.Content}\n"));
        return Convert.ToHexStringLower(hash.GetCurrentHash());
    }
}
