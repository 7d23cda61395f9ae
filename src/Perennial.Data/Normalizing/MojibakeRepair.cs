using System.Buffers;
using System.Text;
using Perennial.Core;

namespace Perennial.Data.Normalizing;

/// <summary>
/// Repairs UTF-8 that was once read as Windows-1252 (<c>cafÃ©</c>, <c>donâ€™t</c>), also when it happened twice. Only sequences
/// that decode to what such damage comes from are touched; rarer scripts need two of them in a row.
/// </summary>
[Component("mojibake")]
public sealed class MojibakeRepair : IFilter
{
    private const string High = "€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008DŽ\u008F\u0090‘’“”•–—˜™š›œ\u009DžŸ";

    /// <inheritdoc/>
    public FilterResult Apply(Document document, long index)
    {
        ArgumentNullException.ThrowIfNull(document);
        var (text, repaired) = (document.Text, 0L);
        for (var round = 0; round < 3; round++)
        {
            if (Repair(text.Span, out var count) is not { } better) break;
            text = better;
            repaired += count;
        }
        return repaired == 0 ? FilterResult.Keep(document) : FilterResult.Keep(document with { Text = text }) with { Counts = [new("repaired sequences", repaired)] };
    }

    private static byte[]? Repair(ReadOnlySpan<byte> text, out int count)
    {
        count = 0;
        ArrayBufferWriter<byte>? better = null;
        var copied = 0;
        for (var at = text.IndexOf((byte)0xC3); at >= 0;)
        {
            // What was damaged begins with one of the letters that UTF-8's lead bytes turn into.
            var (length, sequences) = Damaged(text[at..], out var plain);
            if (length > 0)
            {
                better ??= new ArrayBufferWriter<byte>(text.Length);
                better.Write(text[copied..at]);
                better.Write(plain);
                count += sequences;
                at += length;
                copied = at;
            }
            else
                at += 2;
            if (at >= text.Length) break;
            var next = text[at..].IndexOf((byte)0xC3);
            at = next < 0 ? -1 : at + next;
        }
        better?.Write(text[copied..]);
        return better?.WrittenSpan.ToArray();
    }

    private static (int Length, int Sequences) Damaged(ReadOnlySpan<byte> text, out byte[] plain)
    {
        var (bytes, length, sequences, sure) = (new List<byte>(), 0, 0, false);
        Span<byte> sequence = stackalloc byte[4];
        while (length < text.Length)
        {
            var at = length;
            if (!ToByte(text, ref at, out var lead)) break;
            var wanted = lead switch { 0xC2 or 0xC3 or 0xC4 or 0xC5 or 0xCE or 0xCF or 0xD0 or 0xD1 => 2, >= 0xE2 and <= 0xE9 => 3, 0xF0 => 4, _ => 0 };
            if (wanted == 0) break;
            sequence[0] = lead;
            var have = 1;
            while (have < wanted && ToByte(text, ref at, out var more) && (more & 0xC0) == 0x80) sequence[have++] = more;
            if (have < wanted || Rune.DecodeFromUtf8(sequence[..wanted], out var rune, out _) != OperationStatus.Done) break;
            sure |= lead is 0xC2 or 0xC3 || (lead == 0xE2 && rune.Value is >= 0x2010 and <= 0x26FF) || lead == 0xF0;
            foreach (var one in sequence[..wanted]) bytes.Add(one);
            length = at;
            sequences++;
        }
        plain = [.. bytes];
        return sequences > 0 && (sure || sequences > 1) ? (length, sequences) : (0, 0);
    }

    // The byte of Windows-1252 (or Latin-1) that a character stands for.
    private static bool ToByte(ReadOnlySpan<byte> text, ref int at, out byte value)
    {
        value = 0;
        if (at >= text.Length || text[at] < 0x80 || Rune.DecodeFromUtf8(text[at..], out var rune, out var length) != OperationStatus.Done) return false;
        var code = rune.Value <= 0xFF ? rune.Value : rune.Value <= 0xFFFF && High.IndexOf((char)rune.Value) is >= 0 and var place ? 0x80 + place : 0;
        if (code < 0x80) return false;
        value = (byte)code;
        at += length;
        return true;
    }
}
