using Perennial.Core;
using Perennial.Membership;
using Perennial.Resilience.Groups;
using Perennial.Resilience.Membership;
using Perennial.Resilience.Snapshots;
using Perennial.Training.Memory;
using Perennial.Training.Parallel;

namespace Perennial.Cli.Launch;

/// <summary>A worker's connection to the others, from the variables by which launchers tell a process its place.</summary>
internal sealed class WorkerGroup : IDisposable
{
    /// <summary>The store's address with its password; set by <c>perennial launch</c>.</summary>
    public const string StoreVariable = "PERENNIAL_STORE";

    /// <summary>Tells runs that share a store apart.</summary>
    public const string RunVariable = "PERENNIAL_RUN_ID";

    /// <summary>The snapshot managers, as <c>node=address</c> with spaces between; set by <c>perennial launch</c>, with <see cref="SnapshotRunVariable"/>.</summary>
    public const string SnapshotVariable = "PERENNIAL_SNAPSHOT";

    /// <summary>How nodes protect each other's snapshots.</summary>
    public const string ParityVariable = "PERENNIAL_SNAPSHOT_PARITY";

    /// <summary>The node that this worker is on, where several share a machine.</summary>
    public const string NodeVariable = "PERENNIAL_NODE";

    /// <summary>The id of the run's memory.</summary>
    public const string SnapshotRunVariable = "PERENNIAL_SNAPSHOT_RUN";

    private readonly EmbeddedStore? embedded;
    private readonly RedisStore store;
    private readonly WorkerSignals signals = new();

    private WorkerGroup(RankEnvironment place, StoreAddress address, EmbeddedStore? embedded, string run)
    {
        this.embedded = embedded;
        // The engine is looked for at the door, not at the first step.
        if (place.WorldSize > 1) GlooLibrary.Load();
        store = RedisStore.Connect(address, TimeSpan.FromMinutes(2));
        Settings = new ParallelSettings
        {
            Store = store, Groups = new GlooFactory(store), Run = run, Rank = place.Rank, WorldSize = place.WorldSize, Interruption = signals.Interruption,
            Address = PeerAddress.Of(address, Environment.GetEnvironmentVariable(PeerAddress.Variable)),
        };
        if (Environment.GetEnvironmentVariable(NodeVariable) is { Length: > 0 } node) Settings = Settings with { Node = node };
    }

    public ParallelSettings Settings { get; }

    /// <summary>Where the state outlives this process, if somewhere.</summary>
    public static MemorySettings? Memory
    {
        get
        {
            if (Environment.GetEnvironmentVariable(SnapshotVariable) is not { Length: > 0 } text || !Guid.TryParse(Environment.GetEnvironmentVariable(SnapshotRunVariable), out var run)) return null;
            return new MemorySettings
            {
                RunId = run, Parity = ParityChoice.Parse(Environment.GetEnvironmentVariable(ParityVariable) ?? "none") ?? ParityChoice.None,
                Managers = text.Split(' ').Select(pair => pair.Split('=', 2)).ToDictionary(pair => pair[0], pair => SnapshotEndpoint.Parse(pair[1]), StringComparer.Ordinal),
            };
        }
    }

    /// <summary>Joins where the variables say so; null for a process alone.</summary>
    /// <exception cref="PerennialException">Exit 2: a variable is missing or wrong. Exit 4: the engine is not there.</exception>
    public static WorkerGroup? Join(string name)
    {
        if (RankEnvironment.Read() is not { } place) return null;
        var run = Environment.GetEnvironmentVariable(RunVariable) ?? name;
        if (Environment.GetEnvironmentVariable(StoreVariable) is { Length: > 0 } given) return new WorkerGroup(place, StoreAddress.Parse(given), null, run);
        // As torchrun does it: rank 0 keeps the store at MASTER_ADDR:MASTER_PORT.
        var address = new StoreAddress(place.MasterAddress, place.MasterPort, Environment.GetEnvironmentVariable("PERENNIAL_STORE_PASSWORD"));
        var embedded = place.Rank == 0 ? EmbeddedStore.Start(address.Port, address.Host, address.Password) : null;
        return new WorkerGroup(place, address, embedded, run);
    }

    public void Dispose()
    {
        signals.Dispose();
        store.Dispose();
        embedded?.Dispose();
    }
}
