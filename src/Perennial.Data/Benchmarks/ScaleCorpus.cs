using System.Buffers;
using System.Text;
using Perennial.Core;
using Perennial.Data.Text;

namespace Perennial.Data.Benchmarks;

/// <summary>How large a corpus was written, and what was planted in it.</summary>
/// <param name="Bytes">Bytes of all files.</param>
/// <param name="Documents">Documents.</param>
/// <param name="ExactCopies">Documents that are another's text word for word.</param>
public sealed record ScaleCorpusSize(long Bytes, long Documents, long ExactCopies);

/// <summary>
/// A corpus of any size to measure throughput and memory with: JSON lines of prose made of a real text's paragraphs, every tenth word or so drawn
/// from that text; one document in fifty is another one's copy, one in thirty has a few words of another one's changed. Document n is a pure
/// function of (seed, n), so that nothing need be remembered.
/// </summary>
public sealed class ScaleCorpus
{
    private const int FileBytes = 64 << 20;
    private const int Paragraphs = 8;

    private readonly byte[][][] paragraphs; // words, as they stand in JSON
    private readonly byte[][] words;
    private readonly ulong seed;

    /// <summary>Makes a corpus of a text's paragraphs.</summary>
    /// <param name="seed">Key of every draw.</param>
    /// <param name="paragraphs">Paragraphs of prose.</param>
    public ScaleCorpus(ulong seed, IReadOnlyList<string> paragraphs)
    {
        ArgumentNullException.ThrowIfNull(paragraphs);
        if (paragraphs.Count < Paragraphs) throw PerennialException.Usage($"{paragraphs.Count} paragraphs are too few to make documents of; at least {Paragraphs} are needed");
        this.seed = WordHash.Mix(seed + 1);
        this.paragraphs = [.. paragraphs.Select(paragraph => paragraph.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries).Select(word => JsonEncoded(word)).ToArray())];
        words = [.. this.paragraphs.SelectMany(paragraph => paragraph)];
    }

    /// <summary>Writes files of 64 MiB until there are so many bytes. A file that is there already stays.</summary>
    /// <param name="folder">Takes <c>part-00000.jsonl</c> and so on.</param>
    /// <param name="bytes">Least size.</param>
    /// <param name="cancellation">Stops between files.</param>
    public ScaleCorpusSize Write(string folder, long bytes, CancellationToken cancellation = default)
    {
        Directory.CreateDirectory(folder);
        var (written, document, copies) = (0L, 0L, 0L);
        var line = new ArrayBufferWriter<byte>(1 << 16);
        for (var file = 0; written < bytes; file++)
        {
            cancellation.ThrowIfCancellationRequested();
            var path = Path.Combine(folder, $"part-{file:D5}.jsonl");
            var there = new FileInfo(path) is { Exists: true } info ? info.Length : -1;
            var size = 0L;
            void Lines(Stream? stream)
            {
                for (size = 0; size < FileBytes && written + size < bytes; document++)
                {
                    line.ResetWrittenCount();
                    if (Line(document, line)) copies++;
                    stream?.Write(line.WrittenSpan);
                    size += line.WrittenCount;
                }
            }
            if (there < 0) AtomicFile.Write(path, Lines);
            else Lines(null);
            if (there >= 0 && there != size) throw PerennialException.Usage($"{path}: is not of this corpus; name an empty folder");
            written += size;
        }
        return new ScaleCorpusSize(written, document, copies);
    }

    /// <summary>Writes a document's line; true when it is a copy.</summary>
    private bool Line(long document, ArrayBufferWriter<byte> line)
    {
        var kind = Draw(document, 0) % 1000;
        // A copy is of an original, so that every copy is one more document to go.
        var of = document;
        if (document > 100 && kind < 53)
        {
            for (var attempt = 1UL; ; attempt++)
            {
                of = (long)(Draw(document, attempt) % (ulong)document);
                if (Draw(of, 0) % 1000 >= 53 || of <= 100) break;
            }
        }
        line.Write("{\"text\": \""u8);
        var isChanged = Prose(of, line, of != document && kind >= 20 ? (ulong)document : 0);
        line.Write("\"}\n"u8);
        return of != document && !isChanged;
    }

    /// <summary>Writes a document's text, with some words changed by a key other than 0; true when one was.</summary>
    private bool Prose(long document, ArrayBufferWriter<byte> line, ulong changed)
    {
        var (state, isChanged) = (Draw(document, 1000), false);
        for (var i = 0; i < Paragraphs; i++)
        {
            if (i > 0) line.Write("\\n\\n"u8);
            var first = true;
            foreach (var word in paragraphs[Next(ref state) % (ulong)paragraphs.Length])
            {
                if (!first) line.Write(" "u8);
                first = false;
                var draw = Next(ref state);
                var written = draw % 8 == 0 ? words[(draw >> 8) % (ulong)words.Length] : word;
                if (changed != 0 && WordHash.Mix(draw ^ changed) % 64 == 0)
                {
                    var other = words[(draw >> 16) % (ulong)words.Length];
                    isChanged |= !other.AsSpan().SequenceEqual(written);
                    written = other;
                }
                line.Write(written);
            }
        }
        return isChanged;
    }

    private ulong Draw(long document, ulong number) => WordHash.Mix(seed ^ (ulong)document * 0x9E3779B97F4A7C15 ^ number << 50);

    private static ulong Next(ref ulong state) => WordHash.Mix(state += 0x9E3779B97F4A7C15);

    private static byte[] JsonEncoded(string word) => Encoding.UTF8.GetBytes(word.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal));
}
