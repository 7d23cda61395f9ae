using System.Collections;
using System.Globalization;
using System.Text;

namespace Perennial.Data.Normalizing;

/// <summary>
/// Unicode's canonical composition (NFC, UAX #15) from tables of our own: the runtime does nothing here when globalization is
/// invariant, as it is in this program, and no library on the feed does it without ICU's data.
/// </summary>
internal sealed class UnicodeComposition
{
    private const int SBase = 0xAC00, LBase = 0x1100, VBase = 0x1161, TBase = 0x11A7, LCount = 19, VCount = 21, TCount = 28;

    private static readonly Lazy<UnicodeComposition> Shared = new(() => new UnicodeComposition());

    private readonly Dictionary<int, int[]> decompositions = [];
    private readonly Dictionary<(int, int), int> compositions = [];
    private readonly Dictionary<int, byte> classes = [];
    private readonly BitArray active = new(0x110000);

    private UnicodeComposition()
    {
        using var stream = typeof(UnicodeComposition).Assembly.GetManifestResourceStream("Composition.txt") ?? throw new InvalidOperationException("Composition.txt is not in the assembly");
        using var reader = new StreamReader(stream);
        static int Code(string text) => int.Parse(text, NumberStyles.HexNumber, CultureInfo.InvariantCulture);
        while (reader.ReadLine() is { } line)
        {
            if (line.StartsWith('#')) continue;
            var words = line.Split(' ');
            if (words[0] == "K")
            {
                foreach (var range in words[2..])
                {
                    var ends = range.Split('-');
                    for (var code = Code(ends[0]); code <= Code(ends[^1]); code++)
                    {
                        classes[code] = byte.Parse(words[1], CultureInfo.InvariantCulture);
                        active[code] = true;
                    }
                }
                continue;
            }
            var (whole, parts) = (Code(words[1]), words[2..].Select(Code).ToArray());
            decompositions[whole] = parts;
            if (words[0] == "C") (compositions[(parts[0], parts[1])], active[parts[1]]) = (whole, true);
            else active[whole] = true;
        }
        for (var code = VBase; code < VBase + VCount; code++) active[code] = true;
        for (var code = TBase + 1; code < TBase + TCount; code++) active[code] = true;
    }

    /// <summary>The tables.</summary>
    public static UnicodeComposition Instance => Shared.Value;

    /// <summary>Whether a text surely is composed already (most are; false means that composing must tell).</summary>
    public bool IsComposed(ReadOnlySpan<byte> text)
    {
        // Below U+0300 (lead byte CC) nothing combines.
        for (var at = text.IndexOfAnyInRange((byte)0xCC, (byte)0xFF); at >= 0 && at < text.Length;)
        {
            Rune.DecodeFromUtf8(text[at..], out var rune, out var length);
            if (active[rune.Value]) return false;
            at += length;
            var next = text[at..].IndexOfAnyInRange((byte)0xCC, (byte)0xFF);
            if (next < 0) break;
            at += next;
        }
        return true;
    }

    /// <summary>The composed form of a text.</summary>
    public byte[] Compose(ReadOnlySpan<byte> text)
    {
        var codes = new List<(int Code, byte Class)>(text.Length);
        for (var at = 0; at < text.Length;)
        {
            Rune.DecodeFromUtf8(text[at..], out var rune, out var length);
            at += length;
            Decompose(rune.Value, codes);
        }
        Order(codes);
        var bytes = new byte[codes.Count * 4];
        var written = 0;
        foreach (var code in Recompose(codes)) written += new Rune(code).EncodeToUtf8(bytes.AsSpan(written));
        return bytes[..written];
    }

    private void Decompose(int code, List<(int, byte)> into)
    {
        if (code is >= SBase and < SBase + LCount * VCount * TCount)
        {
            var index = code - SBase;
            into.Add((LBase + index / (VCount * TCount), 0));
            into.Add((VBase + index % (VCount * TCount) / TCount, 0));
            if (index % TCount > 0) into.Add((TBase + index % TCount, 0));
        }
        else if (decompositions.TryGetValue(code, out var parts))
        {
            foreach (var part in parts) Decompose(part, into);
        }
        else
            into.Add((code, classes.GetValueOrDefault(code)));
    }

    // Combining marks between two starters are sorted by class, equal classes keeping their order.
    private static void Order(List<(int Code, byte Class)> codes)
    {
        for (var start = 0; start < codes.Count; start++)
        {
            if (codes[start].Class == 0) continue;
            var end = start;
            while (end < codes.Count && codes[end].Class != 0) end++;
            if (end - start > 1)
            {
                var sorted = codes.GetRange(start, end - start).OrderBy(code => code.Class).ToList();
                for (var i = 0; i < sorted.Count; i++) codes[start + i] = sorted[i];
            }
            start = end;
        }
    }

    private List<int> Recompose(List<(int Code, byte Class)> codes)
    {
        var result = new List<int>(codes.Count);
        var (starter, lastClass) = (-1, 0);
        foreach (var (code, combining) in codes)
        {
            if (starter >= 0 && (lastClass < combining || (lastClass == 0 && result.Count - 1 == starter)) && Pair(result[starter], code) is { } whole)
            {
                result[starter] = whole;
                continue;
            }
            if (combining == 0) starter = result.Count;
            lastClass = combining;
            result.Add(code);
        }
        return result;
    }

    private int? Pair(int first, int second)
    {
        if (first is >= LBase and < LBase + LCount && second is >= VBase and < VBase + VCount) return SBase + ((first - LBase) * VCount + second - VBase) * TCount;
        if (first is >= SBase and < SBase + LCount * VCount * TCount && (first - SBase) % TCount == 0 && second is > TBase and < TBase + TCount) return first + second - TBase;
        return compositions.TryGetValue((first, second), out var whole) ? whole : null;
    }
}
