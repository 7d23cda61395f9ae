using System.Buffers;
using System.Net;
using System.Text;

namespace Perennial.Data.Normalizing;

/// <summary>Kinds of personal data that are found by their form.</summary>
internal enum PersonalData
{
    Email,
    Ip,
    Card,
    Phone,
}

/// <summary>Finds e-mail addresses, IP addresses, card numbers (with their check digit) and phone numbers in a text, in order.</summary>
internal static class PersonalDataScan
{
    private const int LongestNumber = 40;

    private static readonly SearchValues<byte> Triggers = SearchValues.Create("@0123456789"u8);
    private static readonly SearchValues<byte> DigitsAndDots = SearchValues.Create("0123456789."u8);
    private static readonly SearchValues<byte> Local = SearchValues.Create("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._%+-"u8);
    private static readonly SearchValues<byte> Domain = SearchValues.Create("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-"u8);

    /// <summary>The next finding at or after a byte; false when there is none.</summary>
    /// <param name="text">The text.</param>
    /// <param name="from">Where to look from; nothing before is touched.</param>
    /// <param name="start">First byte of what was found.</param>
    /// <param name="end">The byte behind it.</param>
    /// <param name="kind">What it is.</param>
    public static bool Next(ReadOnlySpan<byte> text, int from, out int start, out int end, out PersonalData kind)
    {
        for (var at = from; at < text.Length;)
        {
            var found = text[at..].IndexOfAny(Triggers);
            if (found < 0) break;
            at += found;
            if (text[at] == '@')
            {
                if (Email(text, from, at, out start, out end)) { kind = PersonalData.Email; return true; }
                at++;
                continue;
            }
            if (Ip(text, from, at, out start, out end)) { kind = PersonalData.Ip; return true; }
            if (Number(text, from, at, out start, out end, out kind)) return true;
            while (at < text.Length && IsDigit(text[at])) at++;
        }
        (start, end, kind) = (text.Length, text.Length, default);
        return false;
    }

    private static bool Email(ReadOnlySpan<byte> text, int from, int at, out int start, out int end)
    {
        start = at;
        while (start > from && at - start < 64 && Local.Contains(text[start - 1])) start--;
        while (start < at && !IsAlphanumeric(text[start])) start++;
        end = at + 1;
        while (end < text.Length && end - at < 255 && Domain.Contains(text[end])) end++;
        while (end > at && !IsAlphanumeric(text[end - 1])) end--;
        if (start == at || end <= at + 3) return false;
        var dot = text[at..end].LastIndexOf((byte)'.');
        // The last label is letters (or punycode), so that prices and code with @ stay.
        return dot > 1 && end - at - dot > 2 && text[(at + dot + 1)..end].IndexOfAnyExceptInRange((byte)'A', (byte)'z') < 0;
    }

    private static bool Ip(ReadOnlySpan<byte> text, int from, int at, out int start, out int end)
    {
        (start, end) = (at, at);
        while (start > from && at - start < 40 && (IsHex(text[start - 1]) || text[start - 1] == ':')) start--;
        var colons = false;
        while (end < text.Length && end - start < 46 && (IsHex(text[end]) || text[end] is (byte)':' or (byte)'.'))
        {
            colons |= text[end] == ':';
            end++;
        }
        while (end > at && text[end - 1] is (byte)'.' || (end > at + 1 && text[end - 1] == ':' && text[end - 2] != ':')) end--;
        var candidate = text[start..end];
        if (start > 0 && (IsAlphanumeric(text[start - 1]) || text[start - 1] == '.')) return false;
        if (end < text.Length && IsAlphanumeric(text[end])) return false;
        if (candidate.Count((byte)':') >= 2) return candidate.Length >= 3 && IPAddress.TryParse(Encoding.ASCII.GetString(candidate), out var six) && six.AddressFamily == System.Net.Sockets.AddressFamily.InterNetworkV6;
        // Four numbers up to 255; a port behind a colon is not part of it.
        if (start != at) return false;
        if (colons && candidate.IndexOf((byte)':') is > 0 and var port) end = start + port;
        candidate = text[start..end];
        if (candidate.Count((byte)'.') != 3 || candidate.IndexOfAnyExcept(DigitsAndDots) >= 0) return false;
        foreach (var range in candidate.Split((byte)'.'))
        {
            var part = candidate[range];
            if (part.Length is 0 or > 3 || (part.Length == 3 && part.SequenceCompareTo("255"u8) > 0)) return false;
        }
        return true;
    }

    private static bool Number(ReadOnlySpan<byte> text, int from, int at, out int start, out int end, out PersonalData kind)
    {
        (start, end, kind) = (at, at, PersonalData.Phone);
        if (start > from && text[start - 1] == '(' && IsArea(text[at..])) start--;
        if (start > from && text[start - 1] is (byte)'+') start--;
        else if (start - 1 > from && text[start - 1] == ' ' && text[start - 2] == '+') start -= 2;
        if (start > 0 && (IsAlphanumeric(text[start - 1]) || (text[start - 1] is (byte)'.' or (byte)',' or (byte)'-' or (byte)'$' or (byte)'/' && start > 1 && IsAlphanumeric(text[start - 2])) || text[start - 1] is (byte)'$')) return false;
        Span<byte> digits = stackalloc byte[24];
        Span<byte> groups = stackalloc byte[24];
        var (count, parts, previous) = (0, 0, (byte)0);
        var (separators, pending, mixed, parenthesis) = ((byte)0, (byte)0, false, false);
        var limit = Math.Min(text.Length, start + LongestNumber);
        for (var i = start; i < limit; i++)
        {
            var value = text[i];
            if (IsDigit(value))
            {
                if (count == 20) return false;
                // A separator counts when digits follow: a full stop behind a number is none.
                if (pending != 0)
                {
                    mixed |= separators != 0 && separators != pending;
                    separators = pending;
                    pending = 0;
                }
                if (!IsDigit(previous)) groups[parts++] = 0;
                groups[parts - 1]++;
                digits[count++] = value;
                end = i + 1;
            }
            else if (value == '+' && i == start) { }
            else if (value is (byte)'(' && !parenthesis && count <= 4) parenthesis = true;
            else if (value is (byte)')' && parenthesis) { }
            else if (value is (byte)' ' or (byte)'-' or (byte)'.' or (byte)'/' && (previous == ')' || IsDigit(previous) || (previous == '+' && value == ' ')))
            {
                if (previous != ')') pending = value;
            }
            else if (value is (byte)' ' or (byte)'-' && previous is (byte)' ' or (byte)'-' && i + 1 < limit && (IsDigit(text[i + 1]) || text[i + 1] == ' ') && count < 8 && text[start] is (byte)'+' or (byte)'(') { }
            else break;
            previous = value;
            if (parts == 20) return false;
        }
        if (end < text.Length && (IsAlphanumeric(text[end]) || (text[end] is (byte)'%' or (byte)':'))) return false;
        var number = digits[..count];
        var shape = groups[..parts];
        if (count is >= 13 and <= 19 && number[0] is (byte)'2' or (byte)'3' or (byte)'4' or (byte)'5' or (byte)'6' && !mixed && text[start] is not ((byte)'+' or (byte)'(') && IsCardShape(shape) && Luhn(number))
        {
            kind = PersonalData.Card;
            return true;
        }
        return IsPhone(number, shape, text[start], parenthesis, mixed, separators);
    }

    // An area code in parentheses: up to five digits and the closing one. Other parentheses belong to the sentence.
    private static bool IsArea(ReadOnlySpan<byte> text)
    {
        var digits = text.IndexOfAnyExceptInRange((byte)'0', (byte)'9');
        return digits is > 0 and <= 5 && text[digits] == ')';
    }

    private static bool IsCardShape(ReadOnlySpan<byte> shape) => shape.Length == 1
        || (shape[..^1].IndexOfAnyExcept((byte)4) < 0 && shape[^1] <= 4)
        || shape.SequenceEqual((ReadOnlySpan<byte>)[4, 6, 5]) || shape.SequenceEqual((ReadOnlySpan<byte>)[4, 6, 4]);

    private static bool IsPhone(ReadOnlySpan<byte> number, ReadOnlySpan<byte> shape, byte first, bool parenthesis, bool mixed, byte separator)
    {
        if (number.Length is < 7 or > 15) return false;
        if (first == '+') return number.Length >= 8 && number[0] != '0';
        // 00 and a country, or 0 and an area: with gaps, or as one run of digits that begins like a mobile number.
        if (number.StartsWith("00"u8)) return number.Length >= 10 && number[2] != '0';
        if (number[0] == '0') return number.Length is >= 9 and <= 12 && (parenthesis || shape.Length is >= 2 and <= 6) && !(separator == '.' && shape.Length == 3 && shape[0] <= 2 && shape[1] <= 2);
        var national = shape;
        if (number.Length == 11 && number[0] == '1' && shape[0] == 1)
        {
            national = shape[1..];
            number = number[1..];
        }
        // North America: 3-3-4, as is or with the area in parentheses.
        if (number.Length == 10 && number[0] is >= (byte)'2' and <= (byte)'9' && number[3] is >= (byte)'2' and <= (byte)'9')
            return national.SequenceEqual((ReadOnlySpan<byte>)[3, 3, 4]) || (national.SequenceEqual((ReadOnlySpan<byte>)[3, 7]) && (parenthesis || separator is (byte)'-'));
        return number.Length == 10 && parenthesis && national.SequenceEqual((ReadOnlySpan<byte>)[3, 3, 4]);
    }

    /// <summary>The check digit of card numbers (ISO/IEC 7812-1, annex B).</summary>
    public static bool Luhn(ReadOnlySpan<byte> digits)
    {
        var sum = 0;
        for (var i = 0; i < digits.Length; i++)
        {
            var digit = digits[digits.Length - 1 - i] - '0';
            if (i % 2 == 1) digit = digit > 4 ? digit * 2 - 9 : digit * 2;
            sum += digit;
        }
        return sum % 10 == 0;
    }

    private static bool IsDigit(byte value) => value is >= (byte)'0' and <= (byte)'9';

    private static bool IsHex(byte value) => IsDigit(value) || value is >= (byte)'a' and <= (byte)'f' or >= (byte)'A' and <= (byte)'F';

    private static bool IsAlphanumeric(byte value) => IsDigit(value) || value is >= (byte)'a' and <= (byte)'z' or >= (byte)'A' and <= (byte)'Z' or >= 0x80 or (byte)'_';
}
