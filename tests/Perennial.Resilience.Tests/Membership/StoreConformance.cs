using System.Text;
using Perennial.Membership;
using Perennial.Resilience.Membership;

namespace Perennial.Resilience.Tests.Membership;

/// <summary>What every store of membership must do.</summary>
public abstract class StoreConformance
{
    private static readonly TimeSpan Long = TimeSpan.FromSeconds(20);

    protected abstract IMembershipStore Store { get; }

    private static byte[] B(string text) => Encoding.UTF8.GetBytes(text);

    [Fact]
    public void Values_are_kept_byte_by_byte()
    {
        byte[] all = [.. Enumerable.Range(0, 256).Select(i => (byte)i)];
        Assert.Null(Store.Get("values/none"));
        Store.Set("values/a", all);
        Assert.Equal(all, Store.Get("values/a"));
        Assert.Equal([all, null, all], Store.GetMany(["values/a", "values/none", "values/a"]));
        Assert.Empty(Store.GetMany([]));
    }

    [Fact]
    public void Compare_and_set_lets_exactly_one_win()
    {
        Assert.False(Store.CompareAndSet("cas", B("x"), B("y")));
        Assert.True(Store.CompareAndSet("cas", null, B("1")));
        Assert.False(Store.CompareAndSet("cas", null, B("2")));
        var wins = 0;
        Parallel.For(0, 8, i =>
        {
            if (Store.CompareAndSet("cas", B("1"), B($"by {i}"))) Interlocked.Increment(ref wins);
        });
        Assert.Equal(1, wins);
    }

    [Fact]
    public void A_lease_has_one_holder_until_it_is_released()
    {
        Assert.True(Store.TryLease("lease", B("a"), Long));
        Assert.False(Store.TryLease("lease", B("b"), Long));
        Assert.False(Store.Renew("lease", B("b"), B("b"), Long));
        Assert.True(Store.Renew("lease", B("a"), B("a2"), Long));
        Assert.Equal(B("a2"), Store.Get("lease"));
        Assert.False(Store.Release("lease", B("a")));
        Assert.True(Store.Release("lease", B("a2")));
        Assert.True(Store.TryLease("lease", B("b"), Long));
    }

    [Fact]
    public void A_lease_runs_out()
    {
        Assert.True(Store.TryLease("short", B("a"), TimeSpan.FromMilliseconds(30)));
        Assert.True(SpinWait.SpinUntil(() => Store.Get("short") is null, Long));
        Assert.False(Store.Renew("short", B("a"), B("a"), Long));
        Assert.True(Store.TryLease("short", B("b"), Long));
    }

    [Fact]
    public void A_counter_gives_each_number_once()
    {
        var numbers = new long[64];
        Parallel.For(0, numbers.Length, i => numbers[i] = Store.Increment("counter"));
        Assert.Equal(Enumerable.Range(1, 64).Select(i => (long)i), numbers.Order());
    }

    [Fact]
    public void Waiting_ends_with_the_value_the_timeout_or_the_token()
    {
        using var _ = new Timer(_ => Store.Set("late", B("here")), null, 30, Timeout.Infinite);
        Assert.Equal(B("here"), Store.Wait("late", Long));
        Assert.Throws<TimeoutException>(() => Store.Wait("never", TimeSpan.FromMilliseconds(30)));
        using var source = new CancellationTokenSource(30);
        Assert.ThrowsAny<OperationCanceledException>(() => Store.Wait("never", Long, source.Token));
    }

    [Fact]
    public void Messages_reach_subscribers_until_they_leave()
    {
        using var arrived = new SemaphoreSlim(0);
        byte[]? message = null;
        var subscription = Store.Subscribe("channel", bytes =>
        {
            message = bytes;
            arrived.Release();
        });
        Store.Publish("channel", B("news"));
        Assert.True(arrived.Wait(Long));
        Assert.Equal(B("news"), message);
        subscription.Dispose();
    }
}

public sealed class MemoryStoreTests : StoreConformance, IDisposable
{
    private readonly MemoryStore store = new();

    protected override IMembershipStore Store => store;

    public void Dispose() => store.Dispose();
}

/// <summary>One embedded server for all tests that need one: it takes half a second to start.</summary>
public sealed class StoreServer : IDisposable
{
    public EmbeddedStore Server { get; } = EmbeddedStore.Start(password: "p&ss=%");

    public void Dispose() => Server.Dispose();
}

public sealed class RedisStoreTests(StoreServer server) : StoreConformance, IClassFixture<StoreServer>, IDisposable
{
    private readonly RedisStore store = RedisStore.Connect(server.Server.Address);

    protected override IMembershipStore Store => store;

    public void Dispose() => store.Dispose();

    [Fact]
    public void The_password_is_asked_for_and_never_shown()
    {
        var address = server.Server.Address;
        Assert.DoesNotContain("p&ss", address.ToString());
        Assert.Equal(address, StoreAddress.Parse(address.ToSecretString()));
        var error = Assert.Throws<Core.PerennialException>(() => RedisStore.Connect(address with { Password = "wrong" }, TimeSpan.FromMilliseconds(500)));
        Assert.Equal(Core.ExitCode.Failed, error.Code);
    }

    [Fact]
    public void A_store_that_is_gone_is_a_store_exception()
    {
        var other = EmbeddedStore.Start();
        using var client = RedisStore.Connect(other.Address);
        client.Set("a", [1]);
        other.Dispose();
        Assert.Contains(other.Address.ToString(), Assert.Throws<StoreException>(() => client.Set("a", [2])).Message);
    }
}

public sealed class StoreAddressTests
{
    [Theory]
    [InlineData("redis://10.0.0.1:7000", "10.0.0.1", 7000, null)]
    [InlineData("redis://host", "host", 6379, null)]
    [InlineData("redis://[::1]:7000?password=a%26b", "::1", 7000, "a&b")]
    public void Addresses_are_read(string text, string host, int port, string? password)
    {
        var address = StoreAddress.Parse(text);
        Assert.Equal(new StoreAddress(host, port, password), address);
        Assert.Equal(address, StoreAddress.Parse(address.ToSecretString()));
    }

    [Theory]
    [InlineData("host:1"), InlineData("http://host"), InlineData("redis://user:secret@host"), InlineData("redis://host/0"), InlineData("redis://host?secret=1")]
    public void Wrong_ones_are_refused_without_their_secrets(string text)
    {
        var error = Assert.Throws<Core.PerennialException>(() => StoreAddress.Parse(text));
        Assert.Equal(Core.ExitCode.Usage, error.Code);
        Assert.DoesNotContain("secret@", error.Message);
    }

    [Fact]
    public void Listening_to_other_machines_needs_a_password()
    {
        var error = Assert.Throws<Core.PerennialException>(() => EmbeddedStore.Start(host: "0.0.0.0"));
        Assert.Equal(Core.ExitCode.Usage, error.Code);
        using var listener = new System.Net.Sockets.TcpListener(System.Net.IPAddress.Loopback, 0);
        listener.Start();
        error = Assert.Throws<Core.PerennialException>(() => EmbeddedStore.Start(((System.Net.IPEndPoint)listener.LocalEndpoint).Port));
        Assert.Equal(Core.ExitCode.Failed, error.Code);
        Assert.Contains("in use", error.Message);
        Assert.True(new StoreAddress("127.0.0.2", 1).IsLoopback);
        Assert.False(new StoreAddress("example.org", 1).IsLoopback);
    }
}
