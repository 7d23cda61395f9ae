using Perennial.Core;

namespace Perennial.Membership;

/// <summary>Where a store is: <c>redis://host:port?password=SECRET</c>.</summary>
/// <param name="Host">The host name or address.</param>
/// <param name="Port">The TCP port.</param>
/// <param name="Password">The password, or null where the store asks for none.</param>
public sealed record StoreAddress(string Host, int Port, string? Password = null)
{
    /// <summary>True for an address that only this machine reaches.</summary>
    public bool IsLoopback => Host is "localhost" || (System.Net.IPAddress.TryParse(Host, out var address) && System.Net.IPAddress.IsLoopback(address));

    /// <summary>Reads an address; the port is 6379 where none is given.</summary>
    /// <exception cref="PerennialException">Exit 2: it is not one; the message says what is wrong.</exception>
    public static StoreAddress Parse(string text)
    {
        if (!Uri.TryCreate(text, UriKind.Absolute, out var uri) || uri.Scheme != "redis" || uri.Host.Length == 0)
            throw PerennialException.Usage($"'{Hide(text)}' is no store: redis://host:port?password=SECRET is expected");
        if (uri.AbsolutePath is not ("" or "/") || uri.UserInfo.Length > 0)
            throw PerennialException.Usage($"'{Hide(text)}': only host, port and ?password= are read");
        string? password = null;
        foreach (var part in uri.Query.TrimStart('?').Split('&', StringSplitOptions.RemoveEmptyEntries))
        {
            if (!part.StartsWith("password=", StringComparison.Ordinal)) throw PerennialException.Usage($"'{Hide(text)}': unknown option '{part.Split('=')[0]}'");
            password = Uri.UnescapeDataString(part["password=".Length..]);
        }
        return new StoreAddress(uri.Host.Trim('[', ']'), uri.Port > 0 ? uri.Port : 6379, password);
    }

    /// <summary>The address without its password, for messages and logs.</summary>
    public override string ToString() => $"redis://{(Host.Contains(':') ? $"[{Host}]" : Host)}:{Port}";

    /// <summary>The whole address with its password, to hand to another process (never to a log).</summary>
    public string ToSecretString() => Password is null ? ToString() : $"{this}?password={Uri.EscapeDataString(Password)}";

    private static string Hide(string text) => text.Split('?', '@')[0];
}
