using System.Buffers.Binary;
using System.IO.Hashing;
using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;
using Perennial.Core;

namespace Perennial.Data.Curation;

/// <summary>A document between two stages of curation.</summary>
/// <param name="Document">The document.</param>
/// <param name="Index">Its number in its source, counted before filtering.</param>
/// <param name="Draw">Its uniform draw for the held-out split, taken from the text as it was read.</param>
internal readonly record struct StagedDocument(Document Document, long Index, double Draw);

/// <summary>
/// A part's documents between two stages: records (u32 length of what describes the document, u32 length of its text, both), then
/// the records' offsets, their number, and XXH128 of all before. Written once, read in order or at random.
/// </summary>
internal sealed class DocumentFile : IDisposable
{
    private const int TrailerBytes = 8 + 16;
    private readonly SafeFileHandle file;
    private readonly string path;
    private readonly long[] offsets;

    public DocumentFile(string path)
    {
        this.path = path;
        file = File.OpenHandle(path, options: FileOptions.RandomAccess);
        var length = RandomAccess.GetLength(file);
        Span<byte> trailer = stackalloc byte[TrailerBytes];
        if (length < TrailerBytes || RandomAccess.Read(file, trailer, length - TrailerBytes) != TrailerBytes) throw Damage();
        var count = BinaryPrimitives.ReadInt64LittleEndian(trailer);
        if (count < 0 || count > length / 8) throw Damage();
        offsets = new long[count + 1];
        var table = MemoryMarshal.AsBytes(offsets.AsSpan());
        if (RandomAccess.Read(file, table, length - TrailerBytes - table.Length) != table.Length) throw Damage();
    }

    public int Count => offsets.Length - 1;

    /// <summary>One document. Thread-safe.</summary>
    public StagedDocument Read(int number)
    {
        var bytes = new byte[checked((int)(offsets[number + 1] - offsets[number]))];
        if (RandomAccess.Read(file, bytes, offsets[number]) != bytes.Length) throw Damage();
        return Decode(bytes);
    }

    /// <summary>All documents in order, in large reads.</summary>
    public IEnumerable<StagedDocument> ReadAll()
    {
        for (var number = 0; number < Count;)
        {
            var first = number;
            while (number < Count && (number == first || offsets[number + 1] - offsets[first] <= 1 << 22)) number++;
            var bytes = new byte[checked((int)(offsets[number] - offsets[first]))];
            if (RandomAccess.Read(file, bytes, offsets[first]) != bytes.Length) throw Damage();
            for (var one = first; one < number; one++) yield return Decode(bytes.AsMemory((int)(offsets[one] - offsets[first]), (int)(offsets[one + 1] - offsets[one])));
        }
    }

    public void Dispose() => file.Dispose();

    private PerennialException Damage() => PerennialException.Damaged($"{path}: half-prepared data is damaged; delete the folder '{Path.GetDirectoryName(Path.GetDirectoryName(path))}' and run again");

    private static StagedDocument Decode(ReadOnlyMemory<byte> record)
    {
        var span = record.Span;
        var (about, text) = (BinaryPrimitives.ReadInt32LittleEndian(span), BinaryPrimitives.ReadInt32LittleEndian(span[4..]));
        var at = 8;
        long Whole()
        {
            var value = BinaryPrimitives.ReadInt64LittleEndian(record.Span[at..]);
            at += 8;
            return value;
        }
        string Word()
        {
            var length = BinaryPrimitives.ReadUInt16LittleEndian(record.Span[at..]);
            var word = Encoding.UTF8.GetString(record.Span.Slice(at + 2, length));
            at += 2 + length;
            return word;
        }
        var (index, draw) = (Whole(), BitConverter.Int64BitsToDouble(Whole()));
        var origin = new Provenance("", Whole(), Whole()) { Offset = Whole(), Bytes = Whole() };
        origin = origin with { Path = Word() };
        var (scoreCount, fieldCount) = (record.Span[at], record.Span[at + 1]);
        at += 2;
        var document = new Document(record.Slice(8 + about, text), origin);
        if (scoreCount > 0)
        {
            var scores = new Dictionary<string, double>(scoreCount, StringComparer.Ordinal);
            for (var i = 0; i < scoreCount; i++) scores[Word()] = BitConverter.Int64BitsToDouble(Whole());
            document = document with { Scores = scores };
        }
        if (fieldCount > 0)
        {
            var fields = new Dictionary<string, string>(fieldCount, StringComparer.Ordinal);
            for (var i = 0; i < fieldCount; i++) fields[Word()] = Word();
            document = document with { Fields = fields };
        }
        return new StagedDocument(document, index, draw);
    }

    /// <summary>Writes a <see cref="DocumentFile"/>.</summary>
    internal sealed class Writer(FileStream stream)
    {
        private readonly XxHash128 hash = new();
        private readonly List<long> offsets = [0];
        private readonly System.Buffers.ArrayBufferWriter<byte> about = new(256);

        public int Count => offsets.Count - 1;

        public void Add(StagedDocument staged)
        {
            var document = staged.Document;
            about.Clear();
            Span<byte> lengths = stackalloc byte[8];
            Whole(staged.Index);
            Whole(BitConverter.DoubleToInt64Bits(staged.Draw));
            Whole(document.Origin.Record);
            Whole(document.Origin.Line);
            Whole(document.Origin.Offset);
            Whole(document.Origin.Bytes);
            Word(document.Origin.Path);
            var counts = about.GetSpan(2);
            (counts[0], counts[1]) = ((byte)Math.Min(255, document.Scores.Count), (byte)Math.Min(255, document.Fields.Count));
            about.Advance(2);
            // Sorted, so that equal documents are equal bytes whatever way their scores were given.
            foreach (var (name, score) in document.Scores.OrderBy(pair => pair.Key, StringComparer.Ordinal).Take(255))
            {
                Word(name);
                Whole(BitConverter.DoubleToInt64Bits(score));
            }
            foreach (var (name, value) in document.Fields.OrderBy(pair => pair.Key, StringComparer.Ordinal).Take(255))
            {
                Word(name);
                Word(value);
            }
            BinaryPrimitives.WriteInt32LittleEndian(lengths, about.WrittenCount);
            BinaryPrimitives.WriteInt32LittleEndian(lengths[4..], document.Text.Length);
            Write(lengths);
            Write(about.WrittenSpan);
            Write(document.Text.Span);
            offsets.Add(offsets[^1] + lengths.Length + about.WrittenCount + document.Text.Length);
        }

        /// <summary>Writes the tables. Returns the checksum, hex.</summary>
        public string Complete()
        {
            Write(MemoryMarshal.AsBytes(CollectionsMarshal.AsSpan(offsets)));
            Span<byte> trailer = stackalloc byte[TrailerBytes];
            BinaryPrimitives.WriteInt64LittleEndian(trailer, Count);
            hash.Append(trailer[..8]);
            hash.GetCurrentHash().CopyTo(trailer[8..]);
            stream.Write(trailer);
            return Convert.ToHexStringLower(trailer[8..]);
        }

        private void Write(ReadOnlySpan<byte> bytes)
        {
            hash.Append(bytes);
            stream.Write(bytes);
        }

        private void Whole(long value)
        {
            BinaryPrimitives.WriteInt64LittleEndian(about.GetSpan(8), value);
            about.Advance(8);
        }

        private void Word(string word)
        {
            var span = about.GetSpan(2 + Encoding.UTF8.GetMaxByteCount(Math.Min(word.Length, 16_000)));
            var length = Encoding.UTF8.GetBytes(word.AsSpan(0, Math.Min(word.Length, 16_000)), span[2..]);
            BinaryPrimitives.WriteUInt16LittleEndian(span, (ushort)length);
            about.Advance(2 + length);
        }
    }
}
