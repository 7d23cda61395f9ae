using System.Buffers.Binary;
using System.Text;

namespace Perennial.Evaluation.Tests;

/// <summary>
/// A reader of event files written from the format's definition alone: bitwise CRC, generic protobuf fields. It shares no code
/// with the writer.
/// </summary>
internal static class EventFileReader
{
    public sealed record Event(double WallTime, long Step, string? FileVersion, long? SessionStatus, IReadOnlyList<Value> Values);

    public sealed record Value(string Tag, float? Scalar, string? Text, string? Plugin);

    public static IReadOnlyList<Event> Read(string path)
    {
        var bytes = File.ReadAllBytes(path);
        var events = new List<Event>();
        for (var at = 0; at < bytes.Length;)
        {
            var length = (int)BinaryPrimitives.ReadUInt64LittleEndian(bytes.AsSpan(at));
            Check(bytes.AsSpan(at, 8), BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(at + 8)));
            var data = bytes.AsSpan(at + 12, length);
            Check(data, BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(at + 12 + length)));
            events.Add(Parse(data.ToArray()));
            at += 16 + length;
        }
        return events;
    }

    /// <summary>CRC-32C one bit at a time, reflected polynomial 0x82F63B78.</summary>
    public static uint Crc(ReadOnlySpan<byte> data)
    {
        var crc = 0xFFFFFFFFu;
        foreach (var one in data)
        {
            crc ^= one;
            for (var bit = 0; bit < 8; bit++) crc = (crc & 1) != 0 ? (crc >> 1) ^ 0x82F63B78u : crc >> 1;
        }
        return crc ^ 0xFFFFFFFFu;
    }

    private static void Check(ReadOnlySpan<byte> data, uint masked)
    {
        var rotated = masked - 0xa282ead8u;
        Assert.Equal(Crc(data), (rotated >> 17) | (rotated << 15));
    }

    private static Event Parse(byte[] message)
    {
        var fields = Fields(message);
        var summary = fields.SingleOrDefault(field => field.Number == 5).Data;
        return new Event(
            BitConverter.Int64BitsToDouble((long)fields.Single(field => field.Number == 1).Number64),
            (long)fields.SingleOrDefault(field => field.Number == 2).Number64,
            TextOf(fields, 3),
            fields.Where(field => field.Number == 7).Select(field => (long?)Fields(field.Data!).Single(inner => inner.Number == 1).Number64).SingleOrDefault(),
            summary is null ? [] : [.. Fields(summary).Select(field => ParseValue(field.Data!))]);
    }

    private static Value ParseValue(byte[] message)
    {
        var fields = Fields(message);
        var tensor = fields.SingleOrDefault(field => field.Number == 8).Data;
        var metadata = fields.SingleOrDefault(field => field.Number == 9).Data;
        var scalar = fields.Where(field => field.Number == 2).Select(field => (float?)BitConverter.Int32BitsToSingle((int)field.Number64)).SingleOrDefault();
        if (tensor is not null)
        {
            Assert.Equal(7ul, Fields(tensor).Single(field => field.Number == 1).Number64); // DT_STRING
            var dimension = Fields(Fields(tensor).Single(field => field.Number == 2).Data!).Single(field => field.Number == 2).Data!;
            Assert.Equal(1ul, Fields(dimension).Single(field => field.Number == 1).Number64);
        }
        return new Value(
            TextOf(fields, 1)!, scalar, tensor is null ? null : TextOf(Fields(tensor), 8),
            metadata is null ? null : TextOf(Fields(Fields(metadata).Single(field => field.Number == 1).Data!), 1));
    }

    private static string? TextOf(List<(int Number, ulong Number64, byte[]? Data)> fields, int number) =>
        fields.SingleOrDefault(field => field.Number == number).Data is { } data ? Encoding.UTF8.GetString(data) : null;

    private static List<(int Number, ulong Number64, byte[]? Data)> Fields(byte[] message)
    {
        var fields = new List<(int, ulong, byte[]?)>();
        var at = 0;
        while (at < message.Length)
        {
            var key = Varint();
            var number = (int)(key >> 3);
            switch (key & 7)
            {
                case 0: fields.Add((number, Varint(), null)); break;
                case 1: fields.Add((number, BinaryPrimitives.ReadUInt64LittleEndian(message.AsSpan(at)), null)); at += 8; break;
                case 2:
                    var length = (int)Varint();
                    fields.Add((number, 0, message[at..(at + length)]));
                    at += length;
                    break;
                case 5: fields.Add((number, BinaryPrimitives.ReadUInt32LittleEndian(message.AsSpan(at)), null)); at += 4; break;
                default: throw new InvalidDataException("wire type");
            }
        }
        return fields;

        ulong Varint()
        {
            var value = 0ul;
            for (var shift = 0; ; shift += 7)
            {
                var one = message[at++];
                value |= (ulong)(one & 0x7F) << shift;
                if (one < 0x80) return value;
            }
        }
    }
}
