using System.Net;
using System.Net.Sockets;
using Garnet;
using Perennial.Core;

namespace Perennial.Membership;

/// <summary>
/// A store inside this process (Garnet, which speaks the Redis protocol): the default for one machine and for rank 0 of a small cluster.
/// In memory only; it lives as long as the process.
/// </summary>
public sealed class EmbeddedStore : IDisposable
{
    private readonly GarnetServer server;

    private EmbeddedStore(GarnetServer server, StoreAddress address) => (this.server, Address) = (server, address);

    /// <summary>Where clients reach it, password included.</summary>
    public StoreAddress Address { get; }

    /// <summary>Starts a server.</summary>
    /// <param name="port">The port; 0 takes a free one.</param>
    /// <param name="host">The address to listen on: loopback unless told otherwise.</param>
    /// <param name="password">What clients must give; required where other machines can reach the store.</param>
    /// <exception cref="PerennialException">Exit 2: a password is missing. Exit 1: the port cannot be listened on.</exception>
    public static EmbeddedStore Start(int port = 0, string host = "127.0.0.1", string? password = null)
    {
        var wanted = new StoreAddress(host, port, password);
        if (!wanted.IsLoopback && string.IsNullOrEmpty(password))
            throw PerennialException.Usage($"a store that listens on {host} can be reached by other machines: give it a password");
        ThreadPoolFloor.Raise();
        // Garnet cannot take a free port by itself. Another process may take the one found first: then the next is tried.
        for (var attempt = 1; ; attempt++)
        {
            var address = wanted with { Port = port == 0 ? FreePort(host) : port };
            GarnetServer? server = null;
            try
            {
                server = new GarnetServer(Arguments(address));
                server.Start();
                return new EmbeddedStore(server, address);
            }
            catch (Exception error) when (error is not OutOfMemoryException)
            {
                server?.Dispose();
                if (port != 0 || attempt >= 5 || error.InnerException is not SocketException)
                    throw PerennialException.Failed($"no store on {address}: {(error.InnerException ?? error).Message}", error);
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose() => server.Dispose();

    // Small memory; no disk at all; no log on the console, which belongs to the command line.
    private static string[] Arguments(StoreAddress address) =>
    [
        "--bind", address.Host, "--port", $"{address.Port}", "--memory", "64m", "--page", "1m", "--index", "4m", "-q", "true", "--disable-console-logger", "true",
        .. address.Password is { Length: > 0 } password ? (string[])["--auth", "Password", "--password", password] : [],
    ];

    private static int FreePort(string host)
    {
        var address = IPAddress.TryParse(host, out var parsed) ? parsed : Dns.GetHostAddresses(host)[0];
        using var listener = new TcpListener(address, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
