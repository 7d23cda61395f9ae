using Perennial.Core;
using Perennial.Resilience.Groups;
using Perennial.Resilience.Membership;

namespace Perennial.Resilience.Tests.Groups;

public sealed class GlooCommunicatorTests : CommunicatorConformance, IDisposable
{
    private readonly MemoryStore store = new();

    public GlooCommunicatorTests() => Assert.SkipWhen(GlooLibrary.WhyMissing() is not null, GlooLibrary.WhyMissing() ?? "");

    protected override ICommunicatorFactory Factory => new GlooFactory(store);

    public void Dispose() => store.Dispose();

    [Theory]
    [InlineData(AllReduceAlgorithm.Ring), InlineData(AllReduceAlgorithm.Bcube), InlineData(AllReduceAlgorithm.Direct)]
    public void Every_algorithm_gives_every_rank_the_same_bits(AllReduceAlgorithm algorithm)
    {
        var results = Ranks.All(4, rank =>
        {
            using var group = GlooCommunicator.Create(store, new GroupSettings { Name = $"{algorithm}/", Rank = rank, Size = 4, Algorithm = algorithm });
            var data = Enumerable.Range(0, 10_007).Select(i => MathF.Sin(i + 1000 * rank)).ToArray();
            group.AllReduce(data.AsSpan());
            return data;
        });
        for (var i = 0; i < 10_007; i++)
        {
            var expected = Enumerable.Range(0, 4).Sum(rank => (double)MathF.Sin(i + 1000 * rank));
            Assert.Equal(expected, results[0][i], 1e-6);
        }
        Assert.All(results, result => Assert.Equal(results[0], result));
    }

    [Fact]
    public void A_store_that_fails_is_reported_as_such()
    {
        var error = Assert.Throws<StoreException>(() =>
            GlooCommunicator.Create(new BrokenStore(), new GroupSettings { Name = "x/", Rank = 0, Size = 2 }));
        Assert.Equal("the store is gone", error.Message);
    }

    private sealed class BrokenStore : IKeyValueStore
    {
        public void Set(string key, ReadOnlySpan<byte> value) => throw new StoreException("the store is gone");

        public byte[] Wait(string key, TimeSpan timeout, CancellationToken cancellation = default) => throw new StoreException("the store is gone");
    }
}

public sealed class GlooLibraryTests
{
    [Fact]
    public void An_absent_library_says_what_to_install()
    {
        var error = Assert.Throws<PerennialException>(() => GlooLibrary.Open("/nowhere/libperennial_gloo.so"));
        Assert.Equal(ExitCode.Missing, error.Code);
        Assert.Contains("apt-get install -y libgloo-dev", error.Message);
        Assert.Contains("next ./perennial build", error.Message);
    }

    [Fact]
    public void A_damaged_library_says_so()
    {
        var path = Path.GetTempFileName();
        File.WriteAllText(path, "not a library");
        Assert.Equal(ExitCode.Missing, Assert.Throws<PerennialException>(() => GlooLibrary.Open(path)).Code);
        File.Delete(path);
    }
}
