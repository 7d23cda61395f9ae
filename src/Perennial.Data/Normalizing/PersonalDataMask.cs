using System.Buffers;
using Perennial.Core;

namespace Perennial.Data.Normalizing;

/// <summary>Options of <see cref="PersonalDataMask"/>.</summary>
public sealed record PersonalDataOptions
{
    /// <summary>Whether e-mail addresses become <c>&lt;EMAIL&gt;</c>.</summary>
    public bool Email { get; init; } = true;

    /// <summary>Whether IPv4 and IPv6 addresses become <c>&lt;IP&gt;</c>.</summary>
    public bool Ip { get; init; } = true;

    /// <summary>Whether card numbers with a valid check digit become <c>&lt;CARD&gt;</c>.</summary>
    public bool Card { get; init; } = true;

    /// <summary>Whether phone numbers become <c>&lt;PHONE&gt;</c>.</summary>
    public bool Phone { get; init; } = true;
}

/// <summary>Puts typed placeholders in the place of e-mail addresses, IP addresses, card numbers and phone numbers.</summary>
/// <param name="options">Which kinds.</param>
[Component("pii")]
public sealed class PersonalDataMask(PersonalDataOptions options) : IFilter
{
    private static readonly string[] Names = ["e-mail", "ip", "card", "phone"];

    private readonly bool[] masked = [options.Email, options.Ip, options.Card, options.Phone];

    /// <inheritdoc/>
    public FilterResult Apply(Document document, long index)
    {
        ArgumentNullException.ThrowIfNull(document);
        var text = document.Text.Span;
        ArrayBufferWriter<byte>? result = null;
        Span<long> counts = stackalloc long[Names.Length];
        var copied = 0;
        for (var at = 0; PersonalDataScan.Next(text, at, out var start, out var end, out var kind); at = end)
        {
            if (!masked[(int)kind]) continue;
            result ??= new ArrayBufferWriter<byte>(text.Length + 64);
            result.Write(text[copied..start]);
            result.Write(Placeholder(kind));
            copied = end;
            counts[(int)kind]++;
        }
        if (result is null) return FilterResult.Keep(document);
        result.Write(text[copied..]);
        var found = new List<KeyValuePair<string, long>>();
        for (var i = 0; i < Names.Length; i++)
        {
            if (counts[i] > 0) found.Add(new(Names[i], counts[i]));
        }
        return FilterResult.Keep(document with { Text = result.WrittenMemory }) with { Counts = found };
    }

    private static ReadOnlySpan<byte> Placeholder(PersonalData kind) => kind switch
    {
        PersonalData.Email => "<EMAIL>"u8,
        PersonalData.Ip => "<IP>"u8,
        PersonalData.Card => "<CARD>"u8,
        _ => "<PHONE>"u8,
    };
}
