using System.Diagnostics;
using System.Text;
using Perennial.Core;

namespace Perennial.Data.Benchmarks;

/// <summary>One vocabulary, ours against Microsoft.ML.Tokenizers' plain loop, on one thread.</summary>
/// <param name="Vocabulary">Its name.</param>
/// <param name="Bytes">UTF-8 bytes of the text.</param>
/// <param name="Tokens">Ids it becomes.</param>
/// <param name="OursBytesPerSecond">Ours, median of the rounds.</param>
/// <param name="TheirsBytesPerSecond">Theirs, median of the rounds.</param>
/// <param name="ColdBytesPerSecond">Ours with an empty cache of pieces.</param>
/// <param name="IsEqual">Whether every document got the same ids.</param>
public sealed record TokenizerBenchResult(string Vocabulary, long Bytes, long Tokens, double OursBytesPerSecond, double TheirsBytesPerSecond, double ColdBytesPerSecond, bool IsEqual)
{
    /// <summary>How many times as fast ours is.</summary>
    public double Ratio => OursBytesPerSecond / TheirsBytesPerSecond;
}

/// <summary>BPE encoding side by side with Microsoft.ML.Tokenizers: the same documents in turn, document by document, on one thread.</summary>
public static class TokenizerBench
{
    /// <summary>Least ratio that is asked for.</summary>
    public const double Limit = 3;

    /// <summary>Times both vocabularies.</summary>
    /// <param name="documents">UTF-8 documents.</param>
    /// <param name="rounds">Rounds; each times both once, in alternation.</param>
    /// <exception cref="PerennialException">Exit 2: no text.</exception>
    public static IEnumerable<TokenizerBenchResult> Run(IReadOnlyList<ReadOnlyMemory<byte>> documents, int rounds)
    {
        ArgumentNullException.ThrowIfNull(documents);
        var bytes = documents.Sum(document => (long)document.Length);
        if (bytes == 0) throw PerennialException.Usage("no text to encode");
        // They take UTF-16: the conversion is not timed.
        string[] texts = [.. documents.Select(document => Encoding.UTF8.GetString(document.Span))];
        foreach (var (name, make) in new (string, Func<Tokenizers.BpeTokenizer>)[] { ("o200k_base", Tokenizers.TiktokenVocabulary.O200k), ("cl100k_base", Tokenizers.TiktokenVocabulary.Cl100k) })
        {
            var (ours, theirs) = (make(), Microsoft.ML.Tokenizers.TiktokenTokenizer.CreateForEncoding(name));
            var ids = new List<int>();
            var (isEqual, tokens) = (true, 0L);
            var cold = Time(() =>
            {
                foreach (var document in documents) Encode(ours, document, ids);
            });
            for (var i = 0; i < texts.Length; i++)
            {
                Encode(ours, documents[i], ids);
                isEqual &= ids.SequenceEqual(theirs.EncodeToIds(texts[i]));
                tokens += ids.Count;
            }
            var (mine, other) = (new double[rounds], new double[rounds]);
            for (var round = 0; round < rounds; round++)
            {
                mine[round] = Time(() =>
                {
                    foreach (var document in documents) Encode(ours, document, ids);
                });
                other[round] = Time(() =>
                {
                    foreach (var text in texts) _ = theirs.EncodeToIds(text);
                });
            }
            yield return new TokenizerBenchResult(name, bytes, tokens, bytes / Median(mine), bytes / Median(other), bytes / cold, isEqual);
        }
    }

    private static void Encode(Tokenizers.BpeTokenizer tokenizer, ReadOnlyMemory<byte> document, List<int> ids)
    {
        ids.Clear();
        tokenizer.Encode(document.Span, ids);
    }

    private static double Time(Action body)
    {
        var clock = Stopwatch.GetTimestamp();
        body();
        return Stopwatch.GetElapsedTime(clock).TotalSeconds;
    }

    internal static double Median(double[] values) => values.Order().ElementAt(values.Length / 2);
}
