using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Perennial.Data.Text;

/// <summary>
/// Finds any of many phrases in one pass over a text (Aho and Corasick, CACM 18:6, 1975), ignoring the case of ASCII letters. Where
/// whole words are asked for, letters and digits may not touch a phrase on either side.
/// </summary>
internal sealed class PhraseSet
{
    private readonly int[] next;
    private readonly int[] found;
    private readonly int[] shorter;
    private readonly byte[][] phrases;
    private readonly bool wholeWords;
    private readonly byte[] classes = new byte[256];
    private readonly int width;

    // Where all phrases are long enough, one of four neighbouring places tells: hashes of the four bytes at each phrase's first four places.
    private const int SampledLength = 7;
    private readonly ulong[]? sampled, behind;
    private readonly int longest;

    public PhraseSet(IEnumerable<string> of, bool wholeWords)
    {
        this.wholeWords = wholeWords;
        phrases = [.. of.Select(phrase => System.Text.Encoding.UTF8.GetBytes(phrase.Trim())).Select(bytes => Array.ConvertAll(bytes, Lower)).Where(bytes => bytes.Length > 0).DistinctBy(Convert.ToHexString)];
        // Bytes that no phrase holds share one class: the table stays small and near.
        width = 1;
        foreach (var value in phrases.SelectMany(phrase => phrase).Distinct().Order()) classes[value] = (byte)Math.Min(255, width++);
        if (width > 256) width = 256;
        for (var upper = 'A'; upper <= 'Z'; upper++) classes[upper] = classes[char.ToLowerInvariant(upper)];
        var edges = new List<int[]> { Node() };
        var ends = new List<int> { -1 };
        for (var number = 0; number < phrases.Length; number++)
        {
            var state = 0;
            foreach (var value in phrases[number])
            {
                ref var target = ref edges[state][classes[value]];
                if (target < 0)
                {
                    target = edges.Count;
                    edges.Add(Node());
                    ends.Add(-1);
                    state = edges.Count - 1;
                }
                else
                    state = target;
            }
            ends[state] = number;
        }
        next = new int[edges.Count * width];
        shorter = new int[edges.Count];
        var failure = new int[edges.Count];
        var queue = new Queue<int>();
        for (var symbol = 0; symbol < width; symbol++)
        {
            var target = edges[0][symbol];
            next[symbol] = Math.Max(0, target);
            if (target > 0) queue.Enqueue(target);
        }
        while (queue.TryDequeue(out var state))
        {
            shorter[state] = ends[failure[state]] >= 0 ? failure[state] : shorter[failure[state]];
            for (var symbol = 0; symbol < width; symbol++)
            {
                var target = edges[state][symbol];
                var fallback = next[failure[state] * width + symbol];
                next[state * width + symbol] = target < 0 ? fallback : target;
                if (target < 0) continue;
                failure[target] = fallback;
                queue.Enqueue(target);
            }
        }
        // Rows instead of states, and rows with a phrase complemented: one addition and one load a byte.
        for (var i = 0; i < next.Length; i++)
        {
            var state = next[i];
            next[i] = ends[state] >= 0 || shorter[state] > 0 ? ~(state * width) : state * width;
        }
        found = [.. ends];
        longest = phrases.Length == 0 ? 0 : phrases.Max(phrase => phrase.Length);
        if (phrases.Length == 0 || phrases.Min(phrase => phrase.Length) < SampledLength) return;
        sampled = new ulong[1024];
        // Still longer phrases cover the next sampled place too.
        if (phrases.Min(phrase => phrase.Length) >= SampledLength + 4) behind = new ulong[1024];
        foreach (var phrase in phrases)
        {
            for (var at = 0; at < 4; at++)
            {
                var bit = Sample(ref phrase[at]);
                sampled[bit >> 6] |= 1UL << (int)(bit & 63);
                if (behind is null) continue;
                bit = Sample(ref phrase[at + 4]);
                behind[bit >> 6] |= 1UL << (int)(bit & 63);
            }
        }
    }

    /// <summary>Number of phrases.</summary>
    public int Count => phrases.Length;

    /// <summary>A phrase, in lower case.</summary>
    public string this[int number] => System.Text.Encoding.UTF8.GetString(phrases[number]);

    /// <summary>Number of the first phrase found at or after a byte, or −1; <paramref name="end"/> is the byte behind it.</summary>
    public int Find(ReadOnlySpan<byte> text, int from, out int end)
    {
        if (sampled is null || text.Length - from < SampledLength) return Scan(text, from, text.Length, out end);
        // A phrase covers a sampled place with its four bytes, wherever it begins.
        ref var first = ref MemoryMarshal.GetReference(text);
        for (var at = from; at + 4 <= text.Length; at += 4)
        {
            var bit = Sample(ref Unsafe.Add(ref first, at));
            if ((sampled[bit >> 6] >> (int)(bit & 63) & 1) == 0) continue;
            if (behind is not null)
            {
                if (at + 8 > text.Length) break;
                bit = Sample(ref Unsafe.Add(ref first, at + 4));
                if ((behind[bit >> 6] >> (int)(bit & 63) & 1) == 0) continue;
            }
            var number = Scan(text, Math.Max(from, at - longest), Math.Min(text.Length, at + longest), out end);
            if (number >= 0) return number;
        }
        end = text.Length;
        return -1;
    }

    private int Scan(ReadOnlySpan<byte> text, int from, int through, out int end)
    {
        var row = 0;
        ref var kinds = ref MemoryMarshal.GetArrayDataReference(classes);
        ref var table = ref MemoryMarshal.GetArrayDataReference(next);
        for (var at = from; at < through; at++)
        {
            row = Unsafe.Add(ref table, row + Unsafe.Add(ref kinds, text[at]));
            if (row >= 0) continue;
            row = ~row;
            for (var hit = found[row / width] >= 0 ? row / width : shorter[row / width]; hit > 0; hit = shorter[hit])
            {
                var phrase = phrases[found[hit]];
                if (wholeWords && !IsWhole(text, at + 1 - phrase.Length, at + 1)) continue;
                end = at + 1;
                return found[hit];
            }
        }
        end = text.Length;
        return -1;
    }

    // The place of four bytes, in lower case, in a table of bits.
    private static uint Sample(ref byte at) => (Unsafe.ReadUnaligned<uint>(ref at) | 0x20202020) * 0x9E3779B1 >> 16;

    /// <summary>Whether any phrase is in the text.</summary>
    public bool IsIn(ReadOnlySpan<byte> text) => Find(text, 0, out _) >= 0;

    /// <summary>How often phrases are in the text, overlapping ones apart.</summary>
    public int CountIn(ReadOnlySpan<byte> text)
    {
        var count = 0;
        for (var at = 0; Find(text, at, out var end) >= 0; at = end) count++;
        return count;
    }

    /// <summary>Reads a list of phrases: one a line, <c>#</c> begins a comment line.</summary>
    public static IEnumerable<string> ReadList(string path) => File.ReadLines(path).Select(line => line.Trim()).Where(line => line.Length > 0 && line[0] != '#');

    private static bool IsWhole(ReadOnlySpan<byte> text, int start, int end) =>
        (start == 0 || !IsWordByte(text[start - 1])) && (end == text.Length || !IsWordByte(text[end]));

    private static bool IsWordByte(byte value) => value is >= (byte)'a' and <= (byte)'z' or >= (byte)'A' and <= (byte)'Z' or >= (byte)'0' and <= (byte)'9' or >= 0x80;

    private static byte Lower(byte value) => value is >= (byte)'A' and <= (byte)'Z' ? (byte)(value | 0x20) : value;

    private int[] Node()
    {
        var node = new int[width];
        Array.Fill(node, -1);
        return node;
    }
}
