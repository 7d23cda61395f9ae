using System.Diagnostics;
using System.Text;
using Perennial.Data.Deduplication;
using Perennial.Data.Filters;
using Perennial.Data.Normalizing;
using Perennial.Data.Sources;

namespace Perennial.Data.Benchmarks;

/// <summary>One line of the data engine's bench.</summary>
/// <param name="Name">What was measured.</param>
/// <param name="MegabytesPerSecond">Megabytes of text a second, on one thread.</param>
/// <param name="Limit">What is asked for; null where nothing is.</param>
public sealed record DataBenchLine(string Name, double MegabytesPerSecond, double? Limit)
{
    /// <summary>Whether the limit holds.</summary>
    public bool? Holds => Limit is { } limit ? MegabytesPerSecond >= limit : null;

    /// <inheritdoc/>
    public override string ToString() => $"{Name,-58} {MegabytesPerSecond,9:N1} MB/s/core{(Limit is { } limit ? $"   limit {limit:N0}: {(Holds == true ? "holds" : "does not hold")}" : "")}";
}

/// <summary>Measures operators on one thread over real prose, beside the machine's own limits (memory copy, reading a file).</summary>
public static class DataBench
{
    private const double WarmUpSeconds = 1.5, RoundSeconds = 0.3;

    private static readonly (string Name, Func<IFilter> Make)[] Operators =
    [
        ("unicode", () => new UnicodeNormalizer()), ("mojibake", () => new MojibakeRepair()), ("whitespace", () => new WhitespaceNormalizer(new())), ("boilerplate", () => new BoilerplateRemoval(new())), ("pii", () => new PersonalDataMask(new())),
        ("language", () => new LanguageFilter(new())), ("gopher-quality", () => new GopherQuality(new())), ("gopher-repetition", () => new GopherRepetition(new())), ("fineweb", () => new FineWebQuality(new())), ("c4", () => new C4Quality(new())),
    ];

    /// <summary>Measures everything; every line is the median of several rounds.</summary>
    /// <param name="text">Prose to tile the measured text from.</param>
    /// <param name="megabytes">Size of the measured text.</param>
    /// <param name="rounds">Rounds.</param>
    /// <param name="cancellation">Asks to stop.</param>
    public static IEnumerable<DataBenchLine> Run(ReadOnlyMemory<byte> text, int megabytes, int rounds, CancellationToken cancellation = default)
    {
        var folder = Directory.CreateTempSubdirectory("perennial-bench-").FullName;
        try
        {
            var path = Path.Combine(folder, "text.txt");
            Tile(text, path, (long)megabytes * 1_000_000);
            var size = new FileInfo(path).Length;
            double Median(Action work)
            {
                // Until caches are warm, and the compiler has seen what is hot and is done with it: its threads' time counts below.
                for (var (warm, pass) = (Stopwatch.GetTimestamp(), 0); pass < 2 || Stopwatch.GetElapsedTime(warm).TotalSeconds < WarmUpSeconds; pass++)
                {
                    cancellation.ThrowIfCancellationRequested();
                    work();
                }
                var speeds = new List<double>();
                for (var round = 0; round < rounds; round++)
                {
                    cancellation.ThrowIfCancellationRequested();
                    var (begun, spent, passes) = (Stopwatch.GetTimestamp(), Environment.CpuUsage.TotalTime, 0);
                    for (; passes < 1 || Stopwatch.GetElapsedTime(begun).TotalSeconds < RoundSeconds; passes++) work();
                    var (wall, processor) = (Stopwatch.GetElapsedTime(begun).TotalSeconds, (Environment.CpuUsage.TotalTime - spent).TotalSeconds);
                    // Seconds are those that the process had a core (collector threads included), so that other programs on the machine do not count;
                    // alone on a machine they are the clock's.
                    speeds.Add(size / 1e6 * passes / (processor > 0 ? processor : wall));
                }
                speeds.Sort();
                return speeds[speeds.Count / 2];
            }
            var bytes = File.ReadAllBytes(path);
            var copy = new byte[bytes.Length];
            yield return new DataBenchLine("memory copy", Median(() => bytes.CopyTo(copy, 0)), null);
            yield return new DataBenchLine("reading the file", Median(() => ReadFile(path)), null);
            var source = new SourceOptions { Path = path };
            yield return new DataBenchLine("read (documents of 8 KiB, UTF-8 checked)", Median(() => Through(Documents(source), [])), null);
            var documents = Documents(source).ToList();
            foreach (var (name, make) in Operators)
            {
                var filter = make();
                yield return new DataBenchLine(name, Median(() => Through(documents, [filter])), null);
            }
            IFilter[] all = [.. Operators.Select(one => one.Make())];
            yield return new DataBenchLine($"read + normalize + filter ({Operators.Length} operators in a row)", Median(() => Through(Documents(source), all)), 80);
            var minhash = new MinHashDedup(new());
            var signature = new uint[120];
            yield return new DataBenchLine("MinHash signatures (120 permutations, 5-grams)", Median(() => documents.ForEach(document => minhash.Signature(document.Text.Span, signature))), 25);
            yield return new DataBenchLine("SimHash sketches (3-grams)", Median(() => documents.ForEach(document => SimHashDedup.Hash(document.Text.Span, 3))), null);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static IEnumerable<Document> Documents(SourceOptions source) => DocumentSource.Read(source).ToBlockingEnumerable();

    private static long Through(IEnumerable<Document> documents, IFilter[] filters)
    {
        var (index, kept) = (0L, 0L);
        foreach (var document in documents)
        {
            var present = document;
            foreach (var filter in filters)
            {
                present = filter.Apply(present, index).Document;
                if (present is null) break;
            }
            if (present is not null) kept += present.Text.Length;
            index++;
        }
        return kept;
    }

    private static void ReadFile(string path)
    {
        using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, 0);
        var buffer = new byte[1 << 20];
        while (stream.Read(buffer) > 0) { /* only to have read it */ }
    }

    // The text over and over, with a line of its own before every copy, so that no two documents are the same.
    private static void Tile(ReadOnlyMemory<byte> text, string path, long size)
    {
        using var stream = File.Create(path);
        for (var copy = 0; stream.Length < size; copy++)
        {
            stream.Write(Encoding.UTF8.GetBytes($"Copy {copy} of this text begins here, and it is the same as the others but for this line.\n\n"));
            var length = (int)Math.Min(text.Length, Math.Max(0, size - stream.Length));
            while (length > 0 && length < text.Length && (text.Span[length] & 0xC0) == 0x80) length--;
            stream.Write(text.Span[..length]);
            stream.Write("\n\n"u8);
        }
    }
}
