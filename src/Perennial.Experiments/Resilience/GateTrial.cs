using Perennial.Core;
using Perennial.Experiments.Measured;
using Perennial.Resilience.Plans;
using Perennial.Resilience.Universal;
using Perennial.Training.Parallel;

namespace Perennial.Experiments.Resilience;

/// <summary>
/// Breaks a loaded state in the ways that field reports tell of (permuted rows, a dropped shard, swapped slots, a step that begins anew, an old weight,
/// a swapped generator key, a cursor that moved, a rank without evidence) and counts those that the transition gate refuses; a whole state must pass
/// (paper 47 §6, reproduction 4).
/// </summary>
[Component("gate-trial")]
public sealed class GateTrial : IExperiment
{
    private const string From = "data=2,tensor=2", To = "data=2,pipeline=2,zero=1";
    private const int Steps = 5;

    private static readonly (string Name, Action<IReadOnlyList<IReadOnlyDictionary<string, FlatBytes>>> Break)[] Contents =
    [
        ("permuted rows", ranks => Swap(Weights(ranks[0]), 0, 64 * sizeof(float), 64 * sizeof(float))),
        ("dropped shard", ranks => Weights(ranks[1]).Slice(0, 4096).Clear()),
        ("swapped slots", ranks => Exchange(ranks[0])),
        ("old weight", ranks => Weights(ranks[0]).Slice(4096, 4)[2] ^= 0x10),
        ("flipped bit in a slot", ranks => ranks[^1].Last(slot => slot.Value.Length > 64).Value.Slice(0, 4)[3] ^= 0x01),
    ];

    private static readonly (string Name, Func<ProgressRecord, ProgressRecord> Break)[] Records =
    [
        ("step begins anew", progress => progress with { Counters = new Dictionary<string, long> { ["adamw"] = 0 } }),
        ("swapped generator key", progress => progress with { Generators = new Dictionary<string, ulong> { ["dropout"] = 12, ["order"] = 11 } }),
        ("moved cursor", progress => progress with { Cursor = progress.Cursor + 1 }),
        ("other schedule", progress => progress with { Values = new Dictionary<string, string> { ["rate"] = "0.0003" } }),
    ];

    /// <inheritdoc/>
    public ExperimentOutcome Measure(ExperimentContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        var folder = Path.Combine(context.Folder, "saved");
        using (var source = LayoutWorlds.Make(From, context.Seed))
        {
            LayoutWorlds.Train(source, context.Seed, 1, Steps);
            LayoutWorlds.Save(source, folder, Steps);
        }
        var (refused, tried) = (0, 0);
        void Try(string name, bool isWhole, Action<IReadOnlyList<IReadOnlyDictionary<string, FlatBytes>>>? breaks, Func<ProgressRecord, ProgressRecord>? changes, bool silent = false)
        {
            var faults = Judge(context.Seed, folder, breaks, changes, silent);
            if (isWhole && faults.Count > 0) throw PerennialException.Failed($"the gate refuses a whole state: {faults[0]}");
            if (isWhole) return;
            tried++;
            if (faults.Count > 0) refused++;
        }
        Try("whole", true, null, null);
        foreach (var (name, breaks) in Contents) Try(name, false, breaks, null);
        foreach (var (name, changes) in Records) Try(name, false, null, changes);
        Try("a rank says nothing", false, null, null, silent: true);
        return new() { Measures = new Dictionary<string, double> { ["faults"] = tried, ["refused"] = refused, ["let-through"] = tried - refused } };
    }

    private static IReadOnlyList<string> Judge(ulong seed, string folder, Action<IReadOnlyList<IReadOnlyDictionary<string, FlatBytes>>>? breaks, Func<ProgressRecord, ProgressRecord>? changes, bool silent)
    {
        using var world = LayoutWorlds.Make(To, seed + 1);
        using var checkpoint = UniversalCheckpoint.Open(folder);
        var buffers = world.Ranks.Select(rank => rank.State.Buffers()).ToList();
        var loads = world.Ranks.Select((_, rank) => checkpoint.Load(world.Layout, rank, buffers[rank])).ToList();
        breaks?.Invoke(buffers);
        var evidence = world.Ranks.Select((_, rank) => RankEvidence.Gather(world.Layout, rank, buffers[rank],
            rank == 0 && changes is not null ? changes(checkpoint.Manifest.Summary.Progress) : checkpoint.Manifest.Summary.Progress, loads[rank].Ledgers)).ToList();
        return TransitionGate.Judge(checkpoint.Expected(world.Layout), world.Layout, silent ? evidence[1..] : evidence);
    }

    private static FlatBytes Weights(IReadOnlyDictionary<string, FlatBytes> buffers) => buffers.Values.MaxBy(buffer => buffer.Length)!;

    private static void Swap(FlatBytes buffer, long first, long second, int bytes)
    {
        var kept = buffer.Slice(first, bytes).ToArray();
        buffer.Slice(second, bytes).CopyTo(buffer.Slice(first, bytes));
        kept.CopyTo(buffer.Slice(second, bytes));
    }

    /// <summary>The two optimizer slots of a rank change places.</summary>
    private static void Exchange(IReadOnlyDictionary<string, FlatBytes> buffers)
    {
        var (one, other) = buffers.Values.GroupBy(buffer => buffer.Length).Where(group => group.Count() > 1).Select(group => (group.First(), group.Last())).Last();
        var bytes = (int)one.Length;
        var kept = one.Slice(0, bytes).ToArray();
        other.Slice(0, bytes).CopyTo(one.Slice(0, bytes));
        kept.CopyTo(other.Slice(0, bytes));
    }
}
