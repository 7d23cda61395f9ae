using System.Numerics;
using Perennial.Data.Shards;
using Perennial.Data.Streams;

namespace Perennial.Data.Packing;

/// <summary>
/// Best-fit packing (Ding et al. 2024, "Fewer truncations improve language modeling", arXiv 2404.10830): documents longer than a window are cut
/// into full ones; what is left, longest first, goes into the window with the least room that still holds it. No document that fits a window is
/// cut. Each document begins with an end-of-text input, as held-out text does; the rest of a window is end-of-text without target.
/// </summary>
internal sealed class BestFitWindowing : IWindowing
{
    private readonly TokenShard shard;
    private readonly int time;
    private readonly int endOfText;
    private readonly AnswerMark? answers;
    private readonly Piece[] pieces; // by window, then in the shard's order
    private readonly int[] firsts; // first piece of every window, [windows + 1]

    public BestFitWindowing(TokenShard shard, int time, int endOfText, AnswerMark? answers)
    {
        (this.shard, this.time, this.endOfText, this.answers) = (shard, time, endOfText, answers);
        var cut = Cut();
        var places = Place(cut, out var windows);
        firsts = new int[windows + 1];
        foreach (var place in places) firsts[place + 1]++;
        for (var window = 0; window < windows; window++) firsts[window + 1] += firsts[window];
        var next = firsts.AsSpan(0, windows).ToArray();
        pieces = new Piece[cut.Count];
        for (var i = 0; i < cut.Count; i++) pieces[next[places[i]]++] = cut[i];
        Padding = (long)windows * time - cut.Sum(piece => (long)piece.Length);
    }

    public long Windows => firsts.Length - 1;

    public long Padding { get; }

    public void Fill(long window, Span<long> inputs, Span<long> targets, Span<int> segments, long later)
    {
        if (later != window) Fetch(later);
        var (place, segment) = (0, 0);
        foreach (var piece in pieces.AsSpan(firsts[window]..firsts[window + 1]))
        {
            // The document with end-of-text in front: input i is the token before target i.
            var start = shard.DocumentStart(piece.Document) + piece.Offset;
            var into = targets.Slice(place, piece.Length);
            shard.Read(start, into);
            inputs[place] = piece.Offset == 0 ? endOfText : 0;
            if (piece.Offset > 0) shard.Read(start - 1, inputs.Slice(place, piece.Length));
            else into[..^1].CopyTo(inputs[(place + 1)..]);
            if (answers is not null)
            {
                var (answer, end) = (answers.Start(shard.Document(piece.Document)) - piece.Offset, shard.DocumentStart(piece.Document + 1) - shard.DocumentStart(piece.Document) - 1 - piece.Offset);
                for (var i = 0; i < into.Length; i++)
                {
                    if (i < answer || i >= end) into[i] = TokenBatch.Ignored;
                }
            }
            if (!segments.IsEmpty) segments.Slice(place, piece.Length).Fill(segment);
            (place, segment) = (place + piece.Length, segment + 1);
        }
        inputs[place..].Fill(endOfText);
        targets[place..].Fill(TokenBatch.Ignored);
        if (!segments.IsEmpty) segments[place..].Fill(segment);
    }

    private void Fetch(long window)
    {
        foreach (var piece in pieces.AsSpan(firsts[window]..firsts[window + 1])) shard.Fetch(shard.DocumentStart(piece.Document) + piece.Offset, piece.Length);
    }

    public IEnumerable<(long Document, long Tokens)> Parts(long window)
    {
        for (var i = firsts[window]; i < firsts[window + 1]; i++) yield return (pieces[i].Document, pieces[i].Length);
    }

    /// <summary>Every document, in pieces of at most a window, in the shard's order.</summary>
    private List<Piece> Cut()
    {
        var cut = new List<Piece>();
        for (var document = 0L; document < shard.Documents; document++)
        {
            var length = shard.DocumentStart(document + 1) - shard.DocumentStart(document);
            for (var offset = 0L; offset < length; offset += time) cut.Add(new Piece(document, offset, (int)Math.Min(time, length - offset)));
        }
        return cut;
    }

    /// <summary>The window of every piece.</summary>
    private int[] Place(List<Piece> cut, out int windows)
    {
        var places = new int[cut.Count];
        windows = 0;
        // Windows by the room they have left, and which rooms there are: the least that is enough is found word by word.
        var byRoom = new Stack<int>?[time + 1];
        var rooms = new ulong[time / 64 + 1];
        foreach (var i in Enumerable.Range(0, cut.Count).OrderByDescending(i => cut[i].Length))
        {
            var length = cut[i].Length;
            var room = Least(rooms, length);
            if (room < 0)
            {
                places[i] = windows++;
                room = time;
            }
            else
            {
                places[i] = byRoom[room]!.Pop();
                if (byRoom[room]!.Count == 0) rooms[room / 64] &= ~(1UL << room);
            }
            if (room == length) continue;
            (byRoom[room - length] ??= []).Push(places[i]);
            rooms[(room - length) / 64] |= 1UL << (room - length);
        }
        return places;
    }

    private static int Least(ulong[] rooms, int length)
    {
        var word = length / 64;
        var bits = rooms[word] & ulong.MaxValue << length;
        while (bits == 0)
        {
            if (++word == rooms.Length) return -1;
            bits = rooms[word];
        }
        return word * 64 + BitOperations.TrailingZeroCount(bits);
    }

    private readonly record struct Piece(long Document, long Offset, int Length);
}
