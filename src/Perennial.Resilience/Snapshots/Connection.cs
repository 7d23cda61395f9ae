using System.Buffers.Binary;
using System.Net.Sockets;

namespace Perennial.Resilience.Snapshots;

/// <summary>Kinds of messages (paper 02 §3). A request gets exactly one reply, in order.</summary>
internal enum MessageKind : byte
{
    // Replies.
    Ok = 1,
    Refused = 2,
    Welcome = 3,
    Inventory = 4,
    Data = 5,
    Persisted = 6,

    // Requests.
    Open = 16,
    Hello = 17,
    Configure = 18,
    Begin = 19,
    Bucket = 20,
    Prepared = 21,
    Encode = 22,
    Commit = 23,
    Abort = 24,
    ListInventory = 25,
    Read = 26,
    Persist = 27,
    Retire = 28,
    Share = 29,
    Form = 30,
    AwaitPersisted = 31,
}

/// <summary>
/// Length-prefixed messages over a socket: u32 length of what follows, u8 kind, payload. Blocking; the received payload lies in a buffer that
/// the next receive reuses.
/// </summary>
internal sealed unsafe class Connection(Socket socket) : IDisposable
{
    public const int LargestBody = 8 << 20;
    private const int LargestMessage = LargestBody + 4096;
    private readonly byte[] prefix = new byte[5];
    private byte[] buffer = new byte[4096];

    public static Connection Open(SnapshotEndpoint endpoint, TimeSpan timeout) => new(endpoint.Connect(timeout));

    /// <summary>Gives up with an <see cref="IOException"/> where the other side is silent for so long.</summary>
    public void LimitSilence(TimeSpan timeout) => socket.ReceiveTimeout = socket.SendTimeout = (int)Math.Clamp(timeout.TotalMilliseconds, 1, int.MaxValue);

    public void Send(MessageKind kind, ReadOnlySpan<byte> payload) => Send(kind, payload, null, 0);

    /// <summary>Sends a payload whose last part lies elsewhere.</summary>
    public void Send(MessageKind kind, ReadOnlySpan<byte> payload, byte* body, int bodyBytes)
    {
        try
        {
            // Head and payload travel in one call: one packet for small messages.
            Span<byte> head = payload.Length <= 1024 ? stackalloc byte[5 + payload.Length] : new byte[5 + payload.Length];
            BinaryPrimitives.WriteUInt32LittleEndian(head, (uint)(1 + payload.Length + bodyBytes));
            head[4] = (byte)kind;
            payload.CopyTo(head[5..]);
            SendAll(head);
            SendAll(new ReadOnlySpan<byte>(body, bodyBytes));
        }
        catch (Exception error) when (error is SocketException or ObjectDisposedException)
        {
            throw new IOException("the connection broke: " + error.Message, error);
        }
    }

    /// <summary>The next message.</summary>
    /// <exception cref="IOException">The other side is gone, or sent something that is no message.</exception>
    public MessageKind Receive(out ReadOnlySpan<byte> payload)
    {
        try
        {
            ReceiveAll(prefix);
            var length = BinaryPrimitives.ReadUInt32LittleEndian(prefix);
            if (length is < 1 or > LargestMessage) throw new IOException($"a message of {length} bytes is not one of this protocol");
            var bytes = (int)length - 1;
            if (buffer.Length < bytes) buffer = new byte[bytes];
            ReceiveAll(buffer.AsSpan(0, bytes));
            payload = buffer.AsSpan(0, bytes);
            return (MessageKind)prefix[4];
        }
        catch (Exception error) when (error is SocketException or ObjectDisposedException)
        {
            throw new IOException("the connection broke: " + error.Message, error);
        }
    }

    public void Dispose() => socket.Dispose();

    private void SendAll(ReadOnlySpan<byte> bytes)
    {
        while (bytes.Length > 0) bytes = bytes[socket.Send(bytes)..];
    }

    private void ReceiveAll(Span<byte> bytes)
    {
        while (bytes.Length > 0)
        {
            var count = socket.Receive(bytes);
            if (count == 0) throw new EndOfStreamException("the other side closed the connection");
            bytes = bytes[count..];
        }
    }
}
