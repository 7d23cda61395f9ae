using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Perennial.Core;

namespace Perennial.Resilience.Snapshots;

/// <summary>Where a snapshot manager listens: <c>unix:/path</c> on its own node, <c>tcp:host:port</c> for other nodes.</summary>
/// <param name="Host">Path of the socket, or host name or address.</param>
/// <param name="Port">TCP port; −1 for a Unix-domain socket.</param>
public sealed record SnapshotEndpoint(string Host, int Port)
{
    private const string UnixPrefix = "unix:", TcpPrefix = "tcp:";

    /// <summary>Whether it is a Unix-domain socket.</summary>
    public bool IsUnix => Port < 0;

    /// <summary>Reads the text form.</summary>
    /// <exception cref="PerennialException">Exit 2: it is neither form.</exception>
    public static SnapshotEndpoint Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        if (text.StartsWith(UnixPrefix, StringComparison.Ordinal) && text.Length > UnixPrefix.Length) return new(text[UnixPrefix.Length..], -1);
        var colon = text.LastIndexOf(':');
        if (text.StartsWith(TcpPrefix, StringComparison.Ordinal) && colon > TcpPrefix.Length && ushort.TryParse(text[(colon + 1)..], NumberStyles.None, CultureInfo.InvariantCulture, out var port))
            return new(text[TcpPrefix.Length..colon], port);
        throw PerennialException.Usage($"'{text}' is no address of a snapshot manager; write unix:/path or tcp:host:port");
    }

    /// <inheritdoc/>
    public override string ToString() => IsUnix ? UnixPrefix + Host : $"{TcpPrefix}{Host}:{Port.ToString(CultureInfo.InvariantCulture)}";

    internal Socket Connect(TimeSpan timeout)
    {
        var socket = IsUnix ? new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified) : new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            using var limit = new CancellationTokenSource(timeout);
            var connecting = IsUnix ? socket.ConnectAsync(new UnixDomainSocketEndPoint(Host), limit.Token) : socket.ConnectAsync(Host, Port, limit.Token);
            connecting.AsTask().GetAwaiter().GetResult();
            return socket;
        }
        catch (Exception error)
        {
            socket.Dispose();
            if (error is OperationCanceledException) throw new IOException($"{this} did not answer within {timeout.TotalSeconds.ToString("0.#", CultureInfo.InvariantCulture)} s", error);
            if (error is SocketException) throw new IOException($"{this} cannot be reached: {error.Message}", error);
            throw;
        }
    }

    internal Socket Listen()
    {
        Socket socket;
        if (IsUnix)
        {
            // A socket left by a dead manager would refuse the name.
            File.Delete(Host);
            socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            socket.Bind(new UnixDomainSocketEndPoint(Host));
        }
        else
        {
            var address = IPAddress.TryParse(Host, out var literal) ? literal : Dns.GetHostAddresses(Host).First();
            socket = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
            socket.Bind(new IPEndPoint(address, Port));
        }
        socket.Listen(64);
        return socket;
    }

    /// <summary>The address with the port that the system chose, where port 0 was asked for.</summary>
    internal SnapshotEndpoint Bound(Socket listener) => IsUnix ? this : this with { Port = ((IPEndPoint)listener.LocalEndPoint!).Port };
}
