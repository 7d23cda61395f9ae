using Perennial.Core;
using Perennial.Membership;

namespace Perennial.Resilience.Tests.Membership;

public class PeerAddressTests
{
    [Fact]
    public void Beside_a_store_on_loopback_peers_are_on_loopback() => Assert.Equal("127.0.0.1", PeerAddress.Of(new StoreAddress("localhost", 6379), null));

    [Fact]
    public void The_users_word_wins() => Assert.Equal("10.1.2.3", PeerAddress.Of(new StoreAddress("localhost", 6379), "10.1.2.3"));

    [Fact]
    public void An_interface_stands_for_its_address() => Assert.Equal("127.0.0.1", PeerAddress.Of(new StoreAddress("10.9.9.9", 6379), "lo"));

    [Fact]
    public void Anything_else_is_refused_with_what_there_is()
    {
        var error = Assert.Throws<PerennialException>(() => PeerAddress.Of(new StoreAddress("localhost", 6379), "nosuch0"));
        Assert.Equal(ExitCode.Usage, error.Code);
        Assert.Contains("nosuch0", error.Message, StringComparison.Ordinal);
        Assert.Contains("lo", error.Message, StringComparison.Ordinal);
    }
}
