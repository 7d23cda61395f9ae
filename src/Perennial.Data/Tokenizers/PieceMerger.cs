using System.Runtime.CompilerServices;
using System.Text;
using Perennial.Core;

namespace Perennial.Data.Tokenizers;

/// <summary>Merges the bytes of one piece into ids: of all neighbours that are a merge, the one of lowest rank (the leftmost of equals) becomes one id, until none is left.</summary>
internal sealed class PieceMerger
{
    /// <summary>Longest piece that is searched whole for each merge; longer ones keep their candidates in a heap.</summary>
    public const int ShortPiece = 128;

    private readonly PairTable pairs;
    private readonly int[] byteIds = new int[256];
    private readonly bool isComplete;
    private readonly Dictionary<string, int>? wholePieces;

    /// <summary>Makes a merger.</summary>
    /// <param name="tokens">Bytes of every id; null for special tokens and unused ids.</param>
    /// <param name="merges">Pairs in rank order, and what they become.</param>
    /// <param name="ignoreMerges">Whether a piece that is a token is that token, whatever the merges say (Llama 3).</param>
    public PieceMerger(byte[]?[] tokens, IReadOnlyList<(int Left, int Right, int Merged)> merges, bool ignoreMerges)
    {
        pairs = new PairTable(merges);
        Array.Fill(byteIds, -1);
        for (var id = 0; id < tokens.Length; id++)
        {
            if (tokens[id] is { Length: 1 } single) byteIds[single[0]] = id;
        }
        isComplete = !byteIds.Contains(-1);
        if (!ignoreMerges) return;
        wholePieces = new(StringComparer.Ordinal);
        for (var id = 0; id < tokens.Length; id++)
        {
            if (tokens[id] is { } bytes) wholePieces.TryAdd(Encoding.Latin1.GetString(bytes), id);
        }
    }

    /// <summary>Writes the ids of a piece and returns their number.</summary>
    /// <param name="piece">At least one byte.</param>
    /// <param name="ids">Room for one id a byte.</param>
    /// <exception cref="PerennialException">Exit 3: the vocabulary lacks a byte of the piece.</exception>
    public int Merge(ReadOnlySpan<byte> piece, Span<int> ids)
    {
        if (wholePieces is not null && wholePieces.TryGetValue(Encoding.Latin1.GetString(piece), out var whole))
        {
            ids[0] = whole;
            return 1;
        }
        if (!isComplete) RequireIds(piece);
        for (var i = 0; i < piece.Length; i++) ids[i] = byteIds[piece[i]];
        return piece.Length <= ShortPiece ? MergeShort(ids[..piece.Length]) : MergeLong(ids[..piece.Length]);
    }

    /// <summary>A vocabulary from elsewhere may lack bytes that its training text lacked. Hugging Face's library drops them from the text in silence; here that is an error.</summary>
    private void RequireIds(ReadOnlySpan<byte> piece)
    {
        foreach (var value in piece)
        {
            if (byteIds[value] < 0) throw PerennialException.Damaged($"the tokenizer has no token for byte 0x{value:x2}, which the text holds; take one that was trained with all 256 bytes in its alphabet");
        }
    }

    [SkipLocalsInit]
    private int MergeShort(Span<int> ids)
    {
        // Of the pair that begins at i: its rank, and what it becomes.
        Span<int> ranks = stackalloc int[ShortPiece];
        Span<int> merged = stackalloc int[ShortPiece];
        var length = ids.Length;
        for (var i = 0; i + 1 < length; i++) ranks[i] = pairs.Rank(ids[i], ids[i + 1], out merged[i]);
        while (length > 1)
        {
            var (best, lowest) = (-1, int.MaxValue);
            for (var i = 0; i + 1 < length; i++)
            {
                if (ranks[i] < lowest) (best, lowest) = (i, ranks[i]);
            }
            if (best < 0) break;
            ids[best] = merged[best];
            ids[(best + 2)..length].CopyTo(ids[(best + 1)..]);
            if (best + 2 < length)
            {
                ranks[(best + 2)..(length - 1)].CopyTo(ranks[(best + 1)..]);
                merged[(best + 2)..(length - 1)].CopyTo(merged[(best + 1)..]);
            }
            length--;
            if (best > 0) ranks[best - 1] = pairs.Rank(ids[best - 1], ids[best], out merged[best - 1]);
            if (best + 1 < length) ranks[best] = pairs.Rank(ids[best], ids[best + 1], out merged[best]);
        }
        return length;
    }

    /// <summary>The same result with a heap: a piece without blanks may be megabytes long.</summary>
    private int MergeLong(Span<int> ids)
    {
        var length = ids.Length;
        var (now, previous, next) = (ids.ToArray(), new int[length], new int[length]);
        var queue = new PriorityQueue<(int Position, int Left, int Right, int Merged), (int Rank, int Position)>();
        for (var i = 0; i < length; i++) (previous[i], next[i]) = (i - 1, i + 1);
        for (var i = 0; i + 1 < length; i++) Offer(i);
        while (queue.TryDequeue(out var candidate, out _))
        {
            var (position, left, right, merged) = candidate;
            if (now[position] != left || next[position] >= length || now[next[position]] != right) continue;
            var gone = next[position];
            (now[position], now[gone]) = (merged, -1);
            next[position] = next[gone];
            if (next[gone] < length) previous[next[gone]] = position;
            if (previous[position] >= 0) Offer(previous[position]);
            Offer(position);
        }
        var count = 0;
        foreach (var id in now)
        {
            if (id >= 0) ids[count++] = id;
        }
        return count;

        void Offer(int position)
        {
            if (next[position] >= length) return;
            var rank = pairs.Rank(now[position], now[next[position]], out var merged);
            if (rank != int.MaxValue) queue.Enqueue((position, now[position], now[next[position]], merged), (rank, position));
        }
    }
}
