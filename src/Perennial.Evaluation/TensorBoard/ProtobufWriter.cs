using System.Buffers;
using System.Buffers.Binary;
using System.Text;

namespace Perennial.Evaluation.TensorBoard;

/// <summary>
/// The wire format of protocol buffers, as far as event files need it: varints, fixed widths, and length-delimited fields.
/// A dozen fields do not earn a code generator in the build.
/// </summary>
internal sealed class ProtobufWriter
{
    private readonly ArrayBufferWriter<byte> bytes = new();

    public byte[] ToArray() => bytes.WrittenSpan.ToArray();

    public ProtobufWriter Varint(int field, long value)
    {
        Raw((ulong)field << 3);
        Raw((ulong)value);
        return this;
    }

    public ProtobufWriter Double(int field, double value)
    {
        Raw((ulong)field << 3 | 1);
        Span<byte> fixed64 = stackalloc byte[8];
        BinaryPrimitives.WriteDoubleLittleEndian(fixed64, value);
        bytes.Write(fixed64);
        return this;
    }

    public ProtobufWriter Float(int field, float value)
    {
        Raw((ulong)field << 3 | 5);
        Span<byte> fixed32 = stackalloc byte[4];
        BinaryPrimitives.WriteSingleLittleEndian(fixed32, value);
        bytes.Write(fixed32);
        return this;
    }

    public ProtobufWriter Text(int field, string value) => Bytes(field, Encoding.UTF8.GetBytes(value));

    public ProtobufWriter Message(int field, ProtobufWriter message) => Bytes(field, message.ToArray());

    private ProtobufWriter Bytes(int field, byte[] value)
    {
        Raw((ulong)field << 3 | 2);
        Raw((ulong)value.Length);
        bytes.Write(value);
        return this;
    }

    private void Raw(ulong value)
    {
        for (; value >= 0x80; value >>= 7) bytes.Write([(byte)(value | 0x80)]);
        bytes.Write([(byte)value]);
    }
}
