using System.Collections.Concurrent;
using System.IO.Hashing;
using System.Runtime.InteropServices;
using System.Text;
using Perennial.Core;

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
    private const int CacheLimit = 1 << 17;
    private const int LongestCachedPiece = 64;
    private readonly PreTokenizer preTokenizer;
    private readonly Dictionary<long, (int Rank, int Merged)> merges;
    private readonly int[] byteIds = new int[256];
    private readonly byte[]?[] tokens;
    private readonly Dictionary<string, int>? wholePieces;
    private readonly ConcurrentDictionary<string, int[]> cache = new(StringComparer.Ordinal);
    private readonly AddedWords? addedWords;
    private readonly bool isComplete;
    private int cached;

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
        Array.Fill(byteIds, -1);
        for (var id = 0; id < tokens.Length; id++)
        {
            if (tokens[id] is { Length: 1 } single) byteIds[single[0]] = id;
        }
        isComplete = !byteIds.Contains(-1);
        this.merges = new(merges.Count);
        for (var rank = 0; rank < merges.Count; rank++) this.merges.TryAdd(Pair(merges[rank].Left, merges[rank].Right), (rank, merges[rank].Merged));
        if (ignoreMerges)
        {
            wholePieces = new(StringComparer.Ordinal);
            for (var id = 0; id < tokens.Length; id++)
            {
                if (tokens[id] is { } bytes) wholePieces.TryAdd(Encoding.Latin1.GetString(bytes), id);
            }
        }
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
        while (addedWords?.Find(text) is { } found)
        {
            EncodePieces(text[..found.Start], ids);
            ids.Add(found.Id);
            text = text[(found.Start + found.Length)..];
        }
        EncodePieces(text, ids);
    }

    private void EncodePieces(ReadOnlySpan<byte> text, List<int> ids)
    {
        var lookup = cache.GetAlternateLookup<ReadOnlySpan<char>>();
        preTokenizer.Split(text, piece =>
        {
            if (piece.Length > LongestCachedPiece)
            {
                ids.AddRange(Merge(piece));
                return;
            }
            Span<char> key = stackalloc char[LongestCachedPiece];
            key = key[..piece.Length];
            for (var i = 0; i < piece.Length; i++) key[i] = (char)piece[i];
            if (!lookup.TryGetValue(key, out var merged))
            {
                merged = Merge(piece);
                // Counted apart: the dictionary's own count stops every thread.
                if (Volatile.Read(ref cached) < CacheLimit && cache.TryAdd(key.ToString(), merged)) Interlocked.Increment(ref cached);
            }
            CollectionsMarshal.SetCount(ids, ids.Count + merged.Length);
            merged.CopyTo(CollectionsMarshal.AsSpan(ids)[^merged.Length..]);
        });
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

    private int[] Merge(ReadOnlySpan<byte> piece)
    {
        if (wholePieces is not null && wholePieces.TryGetValue(Encoding.Latin1.GetString(piece), out var whole)) return [whole];
        if (!isComplete) RequireIds(piece);
        if (piece.Length == 1) return [byteIds[piece[0]]];
        return piece.Length <= 512 ? MergeShort(piece) : MergeLong(piece);
    }

    /// <summary>A vocabulary from elsewhere may lack bytes that its training text lacked. Hugging Face's library drops them from the text in silence; here that is an error.</summary>
    private void RequireIds(ReadOnlySpan<byte> piece)
    {
        foreach (var value in piece)
        {
            if (byteIds[value] < 0) throw PerennialException.Damaged($"the tokenizer has no token for byte 0x{value:x2}, which the text holds; take one that was trained with all 256 bytes in its alphabet");
        }
    }

    private int[] MergeShort(ReadOnlySpan<byte> piece)
    {
        var ids = new int[piece.Length];
        for (var i = 0; i < piece.Length; i++) ids[i] = byteIds[piece[i]];
        var length = ids.Length;
        while (length > 1)
        {
            var (best, bestRank, bestMerged) = (-1, int.MaxValue, 0);
            for (var i = 0; i + 1 < length; i++)
            {
                if (merges.TryGetValue(Pair(ids[i], ids[i + 1]), out var merge) && merge.Rank < bestRank) (best, bestRank, bestMerged) = (i, merge.Rank, merge.Merged);
            }
            if (best < 0) break;
            ids[best] = bestMerged;
            Array.Copy(ids, best + 2, ids, best + 1, length - best - 2);
            length--;
        }
        return ids[..length];
    }

    /// <summary>The same result with a heap: a piece without blanks may be megabytes long.</summary>
    private int[] MergeLong(ReadOnlySpan<byte> piece)
    {
        var length = piece.Length;
        var (ids, previous, next) = (new int[length], new int[length], new int[length]);
        var queue = new PriorityQueue<(int Position, int Left, int Right, int Merged), (int Rank, int Position)>();
        for (var i = 0; i < length; i++) (ids[i], previous[i], next[i]) = (byteIds[piece[i]], i - 1, i + 1);
        for (var i = 0; i + 1 < length; i++) Offer(i);
        while (queue.TryDequeue(out var candidate, out _))
        {
            var (position, left, right, merged) = candidate;
            if (ids[position] != left || next[position] >= length || ids[next[position]] != right) continue;
            var gone = next[position];
            (ids[position], ids[gone]) = (merged, -1);
            next[position] = next[gone];
            if (next[gone] < length) previous[next[gone]] = position;
            if (previous[position] >= 0) Offer(previous[position]);
            Offer(position);
        }
        return [.. ids.Where(id => id >= 0)];

        void Offer(int position)
        {
            if (next[position] < length && merges.TryGetValue(Pair(ids[position], ids[next[position]]), out var merge))
                queue.Enqueue((position, ids[position], ids[next[position]], merge.Merged), (merge.Rank, position));
        }
    }

    private static long Pair(int left, int right) => (long)left << 32 | (uint)right;

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
