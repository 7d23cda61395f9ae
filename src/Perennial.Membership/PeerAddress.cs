using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;
using Perennial.Core;

namespace Perennial.Membership;

/// <summary>Where this process's peers reach it: what the user said, or the address by which this machine reaches the store.</summary>
public static class PeerAddress
{
    /// <summary>The variable that names an address or a network interface: <c>PERENNIAL_ADDRESS=10.0.0.2</c> or <c>eth1</c>.</summary>
    public const string Variable = "PERENNIAL_ADDRESS";

    /// <summary>The address to listen on. Beside a store on loopback it is loopback, so nothing leaves the machine unless told to.</summary>
    /// <param name="store">The store that all processes share.</param>
    /// <param name="given">An address or an interface's name; null or empty where the user said nothing.</param>
    /// <exception cref="PerennialException">Exit 2: what was given is neither an address nor an interface of this machine, or the store's host has no address.</exception>
    public static string Of(StoreAddress store, string? given)
    {
        ArgumentNullException.ThrowIfNull(store);
        if (!string.IsNullOrWhiteSpace(given)) return IPAddress.TryParse(given, out var literal) ? literal.ToString() : OfInterface(given);
        if (store.IsLoopback) return IPAddress.Loopback.ToString();
        try
        {
            var host = IPAddress.TryParse(store.Host, out var parsed) ? parsed : Dns.GetHostAddresses(store.Host)[0];
            // A datagram socket's "connection" sends nothing: the system only chooses the way, and with it our address.
            using var way = new Socket(host.AddressFamily, SocketType.Dgram, ProtocolType.Udp);
            way.Connect(host, store.Port);
            return ((IPEndPoint)way.LocalEndPoint!).Address.ToString();
        }
        catch (SocketException error)
        {
            throw PerennialException.Usage($"no way from here to the store's host {store.Host}: {error.Message}; name this machine's address in {Variable}");
        }
    }

    private static string OfInterface(string name)
    {
        var all = NetworkInterface.GetAllNetworkInterfaces();
        var found = all.FirstOrDefault(candidate => candidate.Name == name)
            ?? throw PerennialException.Usage($"{Variable}={name}: neither an address nor an interface of this machine ({string.Join(", ", all.Select(one => one.Name))})");
        return found.GetIPProperties().UnicastAddresses.Select(entry => entry.Address).OrderBy(address => address.AddressFamily == AddressFamily.InterNetwork ? 0 : 1).FirstOrDefault()?.ToString()
            ?? throw PerennialException.Usage($"{Variable}={name}: this interface has no address");
    }
}
