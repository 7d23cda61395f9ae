using System.Diagnostics;
using System.IO.Hashing;
using System.Text;
using Perennial.Data.Accounting;

namespace Perennial.Data.Curation;

/// <summary>One thread's share of a part's account. Everything in it adds up in any order to the same numbers.</summary>
internal sealed class Tally(IReadOnlyList<string> kinds)
{
    private const int ExcerptBytes = 400;

    public OperatorAccount[] Operators { get; } = [.. kinds.Select(kind => new OperatorAccount { Kind = kind })];

    /// <summary>Takes a document through one operator and writes down what happened.</summary>
    public FilterResult Run(int number, Document document, Func<FilterResult> apply)
    {
        var account = Operators[number];
        var begun = Stopwatch.GetTimestamp();
        var result = apply();
        account.Seconds += Stopwatch.GetElapsedTime(begun).TotalSeconds;
        account.Documents++;
        account.Bytes += document.Text.Length;
        if (result.Document is { Text.IsEmpty: true }) result = FilterResult.Reject("nothing left");
        if (result.Counts is { } counts)
        {
            foreach (var (name, count) in counts) account.Counts[name] = account.Counts.GetValueOrDefault(name) + count;
        }
        if (result.Document is { } kept)
        {
            account.KeptDocuments++;
            account.KeptBytes += kept.Text.Length;
            if (!kept.Text.Equals(document.Text)) account.Changed++;
        }
        else
        {
            account.Removed[result.Reason!] = account.Removed.GetValueOrDefault(result.Reason!) + 1;
            account.Keep(result.Reason!, Rank(document.Origin), () => Sample(document, result));
        }
        return result;
    }

    public void AddTo(SourceAccount account)
    {
        for (var i = 0; i < Operators.Length; i++)
        {
            if (account.Operators.Count == i) account.Operators.Add(new OperatorAccount { Kind = Operators[i].Kind });
            account.Operators[i].Add(Operators[i]);
        }
    }

    public static string Place(Provenance origin) => $"{origin.Path}:{origin.Line}";

    private static ulong Rank(Provenance origin) => XxHash3.HashToUInt64(Encoding.UTF8.GetBytes(origin.Path), origin.Record);

    private static RemovedSample Sample(Document document, FilterResult result) => new(
        Place(document.Origin), result.Detail is null ? result.Reason! : $"{result.Reason}: {result.Detail}", Excerpt(document.Text.Span), Rank(document.Origin));

    /// <summary>The beginning of a text, cut between characters.</summary>
    public static string Excerpt(ReadOnlySpan<byte> text)
    {
        var end = Math.Min(text.Length, ExcerptBytes);
        while (end > 0 && end < text.Length && (text[end] & 0xC0) == 0x80) end--;
        return Encoding.UTF8.GetString(text[..end]);
    }
}
