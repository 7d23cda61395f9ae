using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using System.Text;
using Perennial.Core;

namespace Perennial.Data.Filters;

/// <summary>
/// Tells languages apart by the logarithms of how often hashed stretches of three to five bytes occur in texts of each (naive Bayes,
/// as in Cavnar and Trenkle's profiles and langid.py), over lower-cased letters. Trained in a tenth of a second from the texts that
/// ship: the Universal Declaration of Human Rights in 28 languages.
/// </summary>
public sealed class LanguageProfiles
{
    private const int Buckets = 1 << 16;
    private const int Lanes = 32;

    // One byte holds a log-probability in steps of 1/16 nat below the most frequent bucket.
    private const float Step = 16;

    // Stretches overlap, so they are far from independent: the evidence of this many of them counts as one.
    private const float Dependence = 12;

    private static readonly Lazy<LanguageProfiles> Shared = new(() => new LanguageProfiles(ReadShipped()));

    // Rows of 32 bytes begin where a cache line does, so that none lies in two; pinned, so that it stays so.
    private readonly sbyte[] table = GC.AllocateArray<sbyte>(Buckets * Lanes + 64, pinned: true);
    private readonly int origin;

    private LanguageProfiles(IReadOnlyList<(string Language, byte[] Text)> texts)
    {
        Languages = [.. texts.Select(text => text.Language)];
        origin = Origin(table);
        var weights = table.AsSpan(origin);
        if (Languages.Count > Lanes) throw new InvalidOperationException($"more than {Lanes} languages");
        var counts = new float[Languages.Count][];
        for (var language = 0; language < counts.Length; language++)
        {
            counts[language] = new float[Buckets];
            var total = 0f;
            foreach (var bucket in Stretches(texts[language].Text)) total += ++counts[language][bucket] > 0 ? 1 : 0;
            // Additive smoothing: a stretch never seen costs much, but not everything.
            for (var bucket = 0; bucket < Buckets; bucket++) counts[language][bucket] = MathF.Log((counts[language][bucket] + 0.05f) / (total + 0.05f * Buckets));
        }
        for (var bucket = 0; bucket < Buckets; bucket++)
        {
            var mean = 0f;
            for (var language = 0; language < counts.Length; language++) mean += counts[language][bucket] / counts.Length;
            for (var language = 0; language < counts.Length; language++) weights[bucket * Lanes + language] = (sbyte)Math.Clamp(MathF.Round((counts[language][bucket] - mean) * Step), -42, 42);
        }
    }

    /// <summary>The profiles of the texts that ship.</summary>
    public static LanguageProfiles Default => Shared.Value;

    /// <summary>Known languages, as ISO 639-1 codes.</summary>
    public IReadOnlyList<string> Languages { get; }

    /// <summary>The likeliest language of a text and its probability; from at most three stretches of 96 bytes, spread over the text.</summary>
    public (string Language, double Probability) Identify(ReadOnlySpan<byte> text)
    {
        var scores = Score(text, out var seen);
        if (seen == 0) return ("", 0);
        var (best, sum) = (0, 0.0);
        for (var language = 1; language < Languages.Count; language++)
        {
            if (scores[language] > scores[best]) best = language;
        }
        for (var language = 0; language < Languages.Count; language++) sum += Math.Exp((scores[language] - scores[best]) / (double)Step / Dependence * 4);
        return (Languages[best], 1 / sum);
    }

    private int[] Score(ReadOnlySpan<byte> text, out int seen)
    {
        const int Window = 96, Windows = 3;
        Span<byte> piece = stackalloc byte[Window + 8];
        // The rows of a window: found first, so that they are on their way from memory together before the first is needed.
        Span<int> rows = stackalloc int[3 * (Window + 2)];
        seen = 0;
        var windows = text.Length <= Windows * Window ? (text.Length + Window - 1) / Window : Windows;
        var scores = new int[Lanes];
        ref var first = ref table[origin];
        // Within a window 16-bit sums cannot overflow: 3 · 96 stretches of at most 42 stay below 32,767.
        for (var window = 0; window < windows; window++)
        {
            var start = text.Length <= Windows * Window ? window * Window : (int)((long)(text.Length - Window) * window / (windows - 1));
            var count = Rows(piece[..Normalize(text[start..Math.Min(text.Length, start + Window)], piece)], rows, ref first);
            seen += count;
            var (low, high) = (Vector256<short>.Zero, Vector256<short>.Zero);
            foreach (var place in rows[..count])
            {
                var row = Vector256.LoadUnsafe(ref first, (nuint)place);
                low += Vector256.WidenLower(row);
                high += Vector256.WidenUpper(row);
            }
            ref var sum = ref MemoryMarshal.GetArrayDataReference(scores);
            (Vector256.LoadUnsafe(ref sum) + Vector256.WidenLower(low)).StoreUnsafe(ref sum);
            (Vector256.LoadUnsafe(ref sum, 8) + Vector256.WidenUpper(low)).StoreUnsafe(ref sum, 8);
            (Vector256.LoadUnsafe(ref sum, 16) + Vector256.WidenLower(high)).StoreUnsafe(ref sum, 16);
            (Vector256.LoadUnsafe(ref sum, 24) + Vector256.WidenUpper(high)).StoreUnsafe(ref sum, 24);
        }
        return scores;
    }

    // Where in the weights the rows of a text's stretches of three to five bytes begin; the processor is told to fetch them.
    private static int Rows(ReadOnlySpan<byte> text, Span<int> rows, ref sbyte weights)
    {
        var count = 0;
        for (var at = 0; at + 3 <= text.Length; at++)
        {
            var hash = Next(Next(0, text[at]), text[at + 1]);
            for (var n = 2; n < 5 && at + n < text.Length; n++)
            {
                hash = Next(hash, text[at + n]);
                Fetch(ref weights, rows[count++] = (int)(Bucket(hash) * Lanes));
            }
        }
        return count;
    }

    private static uint Next(uint hash, byte value) => (hash ^ value) * 0x01000193 + 0x9E3779B9;

    private static uint Bucket(uint hash) => (hash ^ hash >> 15) % Buckets;

    private static unsafe int Origin(sbyte[] table) => (int)(-(nint)Unsafe.AsPointer(ref table[0]) & 63);

    private static unsafe void Fetch(ref sbyte weights, int at)
    {
        if (Sse.IsSupported) Sse.Prefetch0(Unsafe.AsPointer(ref Unsafe.Add(ref weights, at)));
    }

    private static IEnumerable<int> Stretches(byte[] text)
    {
        var piece = new byte[text.Length + 8];
        var length = Normalize(text, piece);
        for (var at = 0; at + 2 <= length; at++)
        {
            var hash = 0u;
            for (var n = 1; n <= 5 && at + n <= length; n++)
            {
                hash = Next(hash, piece[at + n - 1]);
                if (n > 2) yield return (int)Bucket(hash);
            }
        }
    }

    // ASCII letters in lower case, everything that is neither a letter nor above ASCII as one space.
    private static int Normalize(ReadOnlySpan<byte> text, Span<byte> into)
    {
        var written = 0;
        into[written++] = (byte)' ';
        foreach (var value in text)
        {
            var letter = value is >= (byte)'A' and <= (byte)'Z' ? (byte)(value | 0x20) : value is >= (byte)'a' and <= (byte)'z' or >= 0x80 ? value : (byte)' ';
            if (letter != ' ' || into[written - 1] != ' ') into[written++] = letter;
        }
        return written;
    }

    /// <summary>The texts that ship, by language, lines kept.</summary>
    internal static IReadOnlyList<(string Language, byte[] Text)> Shipped() => ReadShipped();

    /// <summary>Trains profiles on a file: <c>### code</c>, then lines of that language.</summary>
    /// <exception cref="PerennialException">Exit 2: no languages in it.</exception>
    public static LanguageProfiles Train(string path)
    {
        using var reader = new StreamReader(path);
        var texts = Read(reader);
        return texts.Count is > 1 and <= Lanes ? new LanguageProfiles(texts) : throw PerennialException.Usage($"{path}: must hold 2 to {Lanes} languages, each behind a line '### code'; found {texts.Count}");
    }

    private static List<(string Language, byte[] Text)> ReadShipped()
    {
        using var stream = typeof(LanguageProfiles).Assembly.GetManifestResourceStream("languages.txt") ?? throw new InvalidOperationException("languages.txt is not in the assembly");
        using var reader = new StreamReader(stream);
        return Read(reader);
    }

    private static List<(string Language, byte[] Text)> Read(StreamReader reader)
    {
        var (texts, language, text) = (new List<(string Language, byte[] Text)>(), "", new StringBuilder());
        void Close()
        {
            if (language.Length > 0) texts.Add((language, Encoding.UTF8.GetBytes(text.ToString())));
            text.Clear();
        }
        while (reader.ReadLine() is { } line)
        {
            if (line.StartsWith("### ", StringComparison.Ordinal))
            {
                Close();
                language = line[4..];
            }
            else if (!line.StartsWith('#')) text.Append(line).Append('\n');
        }
        Close();
        return texts;
    }
}
