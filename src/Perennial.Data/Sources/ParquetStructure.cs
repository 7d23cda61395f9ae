using System.Buffers.Binary;
using Parquet.Meta;
using Perennial.Core;

namespace Perennial.Data.Sources;

/// <summary>
/// Walks what a parquet file says of itself (Thrift, compact protocol) before the library reads it: a damaged count of elements that take no bytes
/// keeps a reader that believes it busy for hours. Here no count may exceed the bytes that are left, so a walk takes as long as the bytes are many.
/// </summary>
internal static class ParquetStructure
{
    private const int Deepest = 32, Tail = 8, LongestPageHeader = 1 << 20, CompressedSizeField = 3;

    /// <summary>Tests the footer.</summary>
    /// <exception cref="InvalidDataException">It cannot be walked.</exception>
    public static void CheckFooter(Stream file)
    {
        if (file.Length < Tail + 4) throw new InvalidDataException("the file is too short");
        var length = BinaryPrimitives.ReadUInt32LittleEndian(At(file, file.Length - Tail, sizeof(uint)));
        if (length > file.Length - Tail - 4) throw new InvalidDataException($"the footer's {length} bytes are more than the file has");
        var walk = new Walk(At(file, file.Length - Tail - length, (int)length));
        walk.Structure(0);
    }

    /// <summary>Tests the page headers of a row group.</summary>
    /// <exception cref="InvalidDataException">One cannot be walked, or lies outside the file.</exception>
    public static void CheckPages(Stream file, RowGroup group)
    {
        foreach (var column in group.Columns.Select(chunk => chunk.MetaData).OfType<ColumnMetaData>())
        {
            var at = column.DictionaryPageOffset is > 0 and var dictionary ? Math.Min(dictionary, column.DataPageOffset) : column.DataPageOffset;
            var end = at + column.TotalCompressedSize;
            while (at < end)
            {
                if (at < 0 || at >= file.Length) throw new InvalidDataException($"a page at byte {at} of a file of {file.Length}");
                var walk = new Walk(At(file, at, (int)Math.Min(LongestPageHeader, file.Length - at)));
                var size = walk.Structure(0, CompressedSizeField);
                if (size is < 0) throw new InvalidDataException($"a page of {size} bytes");
                at += walk.Position + size;
            }
        }
    }

    private static byte[] At(Stream file, long position, int count)
    {
        var bytes = new byte[count];
        file.Position = position;
        file.ReadExactly(bytes);
        return bytes;
    }

    private sealed class Walk(byte[] bytes)
    {
        public int Position { get; private set; }

        private int Left => bytes.Length - Position;

        /// <summary>Passes over a structure; the value of one of its whole numbers, 0 where it is not there.</summary>
        public long Structure(int depth, int wanted = -1)
        {
            if (depth > Deepest) throw new InvalidDataException($"structures {depth} deep");
            var (number, found) = (0L, 0L);
            while (Next() is var head && head != 0)
            {
                number = head >> 4 is > 0 and var step ? number + step : Whole();
                var type = head & 15;
                if (type is 1 or 2) continue; // a field's truth value is its type
                if (number == wanted && type is >= 4 and <= 6) found = Whole();
                else Value(type, depth);
            }
            return found;
        }

        private void Value(int type, int depth)
        {
            switch (type)
            {
                case 1 or 2 or 3: Skip(1); break;
                case 4 or 5 or 6: Varint(); break;
                case 7: Skip(8); break;
                case 8: Skip(Varint()); break;
                case 9 or 10: Elements(depth); break;
                case 11: Pairs(depth); break;
                case 12: Structure(depth + 1); break;
                default: throw new InvalidDataException($"a value of type {type}");
            }
        }

        private void Elements(int depth)
        {
            var head = Next();
            var count = head >> 4 is < 15 and var few ? (ulong)few : Varint();
            Require(count);
            for (var i = 0UL; i < count; i++) Value(head & 15, depth + 1);
        }

        private void Pairs(int depth)
        {
            var count = Varint();
            if (count == 0) return;
            var types = Next();
            Require(count);
            for (var i = 0UL; i < count; i++)
            {
                Value(types >> 4, depth + 1);
                Value(types & 15, depth + 1);
            }
        }

        private void Require(ulong count)
        {
            if (count > (ulong)Left) throw new InvalidDataException($"{count} elements in {Left} bytes");
        }

        private void Skip(ulong count)
        {
            Require(count);
            Position += (int)count;
        }

        private int Next() => Position < bytes.Length ? bytes[Position++] : throw new InvalidDataException("it ends in the middle of a structure");

        private long Whole() => Varint() is var value ? (long)(value >> 1) ^ -(long)(value & 1) : 0;

        private ulong Varint()
        {
            var value = 0UL;
            for (var shift = 0; shift < 64; shift += 7)
            {
                var part = Next();
                value |= (ulong)(part & 127) << shift;
                if (part < 128) return value;
            }
            throw new InvalidDataException("a number of more than 64 bits");
        }
    }
}
