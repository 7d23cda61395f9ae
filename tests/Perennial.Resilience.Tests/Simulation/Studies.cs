using Perennial.Core;
using Perennial.Core.Recipes;
using Perennial.Resilience.Simulation;

namespace Perennial.Resilience.Tests.Simulation;

/// <summary>Small studies for tests.</summary>
internal static class Studies
{
    public static ComponentRegistry Components { get; } = ComponentRegistry.Scan([typeof(IRecoveryPolicy).Assembly]);

    public static RecoveryTimes Instant { get; } = new() { Detect = 0, Agree = 0, Group = 0, Plan = 0, Move = 0, Replay = 0, Spread = 0 };

    public static ComponentSpec<IRecoveryPolicy> Restart(RecoveryTimes times) => new("restart", typeof(RestartRecovery), new RestartRecoveryOptions { Times = times });

    public static ComponentSpec<IRecoveryPolicy> Reroute(RecoveryTimes times) => new("reroute", typeof(RerouteRecovery), new RerouteRecoveryOptions { Times = times });

    public static ComponentSpec<IRecoveryPolicy> Elastic(RecoveryTimes times) => new("elastic", typeof(ElasticRecovery), new ElasticRecoveryOptions { Times = times });

    /// <summary>One accelerator a node, no transfers, no spares needed: only processes die, and are back at once.</summary>
    public static SimulationOptions Plain(params IReadOnlyList<ComponentSpec<IRecoveryPolicy>> policies) => new()
    {
        Accelerators = [16],
        Policies = policies,
        Repetitions = 1,
        Cluster = new() { PerNode = 1, RespawnSeconds = 0, Spares = 0 },
        Failures = new() { Software = 1, Correlated = 0 },
        Job = new() { Stages = 4, StateBytes = 0, StepSeconds = 10 },
    };

    public static SimulationOptions Bind(string yaml) => new RecipeBinder(Components).Bind<SimulationOptions>(RecipeDocument.Parse(yaml, "s.yaml"));

    /// <summary>The repository's root.</summary>
    public static string Root
    {
        get
        {
            var folder = AppContext.BaseDirectory;
            while (!File.Exists(Path.Combine(folder, "Perennial.slnx"))) folder = Path.GetDirectoryName(folder) ?? throw new InvalidOperationException("no Perennial.slnx above the tests");
            return folder;
        }
    }
}
