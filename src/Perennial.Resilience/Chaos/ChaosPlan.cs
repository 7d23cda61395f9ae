using System.Globalization;
using Perennial.Core;

namespace Perennial.Resilience.Chaos;

/// <summary>What is done to a run.</summary>
public enum ChaosKind
{
    /// <summary>A worker is killed at once (SIGKILL).</summary>
    Kill,

    /// <summary>A worker is stopped for a while (SIGSTOP, later SIGCONT): a hang.</summary>
    Stop,

    /// <summary>All workers are killed at once.</summary>
    All,

    /// <summary>A whole node is lost: its workers, its snapshot manager, and what was in its memory.</summary>
    Node,

    /// <summary>All workers are killed at once, and some nodes lose manager and memory too: what is left is in the other nodes' memory.</summary>
    Outage,

    /// <summary>A snapshot manager is killed; its memory stays.</summary>
    Manager,

    /// <summary>A worker gets a quarter of the time for a while.</summary>
    Slow,

    /// <summary>A worker's connections to its peers are dropped; everyone lives.</summary>
    Drop,

    /// <summary>Workers and snapshot managers cannot write files for a while, as on a full disk.</summary>
    Full,

    /// <summary>A bit flips in a snapshot or in a checkpoint on disk.</summary>
    Flip,
}

/// <summary>One fault.</summary>
/// <param name="After">Time since the fault before, or since all workers took their first step.</param>
/// <param name="Kind">What is done.</param>
/// <param name="Count">To how many workers or nodes it is done, at the same moment.</param>
/// <param name="Draw">Decides which: uniform on 0 … 1, to be scaled to what is there.</param>
/// <param name="For">How long a hang, a slow rank or a full disk lasts.</param>
/// <param name="Step">Made as soon as this step is committed, whatever the time; null where time decides.</param>
public sealed record ChaosFault(TimeSpan After, ChaosKind Kind, int Count, double Draw, TimeSpan For, long? Step = null);

/// <summary>
/// Faults by seed and rate, separated by commas: <c>kill=15s</c>, <c>stop=20s</c> (or <c>hang</c>), <c>all</c>, <c>node</c>, <c>outage</c>, <c>manager</c>, <c>slow</c>,
/// <c>drop</c>, <c>full</c>, <c>flip</c>, each with the mean time between faults of its kind, or <c>any=2s</c> for all kinds together; with <c>pair=3</c> (every
/// third fault hits two workers), <c>nodes=2</c> (how many nodes are lost at once), <c>for=2s</c> (how long what passes lasts), <c>seed=1</c> and
/// <c>most=10</c> (faults in all). The time between faults is uniform on 0.7 to 1.3 times the stated one. <c>kill=@40</c> makes one fault as soon as step 40 is
/// committed, as often as it is written (<c>kill=@40,node=@90</c>), beside those of the clock.
/// </summary>
public sealed record ChaosPlan
{
    private static readonly ChaosKind[] Kinds = Enum.GetValues<ChaosKind>();

    /// <summary>Mean time between faults of each kind.</summary>
    public IReadOnlyDictionary<ChaosKind, TimeSpan> Every { get; init; } = new Dictionary<ChaosKind, TimeSpan>();

    /// <summary>Faults that wait for a step, in order of steps.</summary>
    public IReadOnlyList<(long Step, ChaosKind Kind)> AtSteps { get; init; } = [];

    /// <summary>Every so many faults, one hits two workers; 0 for never.</summary>
    public int Pair { get; init; }

    /// <summary>Nodes that are lost at once.</summary>
    public int Nodes { get; init; } = 1;

    /// <summary>How long a hang, a slow rank or a full disk lasts.</summary>
    public TimeSpan For { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>Key of every draw.</summary>
    public ulong Seed { get; init; } = 1;

    /// <summary>Faults in all.</summary>
    public int Most { get; init; } = int.MaxValue;

    /// <summary>Reads a plan.</summary>
    /// <exception cref="PerennialException">Exit 2: says which part is wrong and what would be right.</exception>
    public static ChaosPlan Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var (plan, every, steps) = (new ChaosPlan(), new Dictionary<ChaosKind, TimeSpan>(), new List<(long Step, ChaosKind Kind)>());
        foreach (var part in text.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
        {
            var (key, value) = part.Split('=', 2) is [var left, var right] ? (left, right) : (part, "");
            if (KindOf(key) is { } awaiting && value.StartsWith('@')) steps.Add((Number(part, value[1..], long.MaxValue), awaiting));
            else if (KindOf(key) is { } kind) every[kind] = Time(part, value);
            // All kinds together: each as many times rarer.
            else if (key == "any") foreach (var each in Kinds) every[each] = Time(part, value) * Kinds.Length;
            else plan = key switch
            {
                "for" => plan with { For = Time(part, value) },
                "pair" => plan with { Pair = (int)Number(part, value, 1_000_000) },
                "nodes" => plan with { Nodes = (int)Math.Max(1, Number(part, value, 1024)) },
                "most" => plan with { Most = (int)Number(part, value, int.MaxValue) },
                "seed" => plan with { Seed = (ulong)Number(part, value, long.MaxValue) },
                _ => throw PerennialException.Usage($"--chaos {part}: unknown; write for example kill=15s,pair=3,seed=1 (kinds: {string.Join(", ", Kinds.Select(Word))}, any; also: for=2s, nodes=2, most=10)"),
            };
        }
        if (every.Count + steps.Count == 0) throw PerennialException.Usage($"--chaos {text}: names no fault; write for example kill=15s");
        return plan with { Every = every, AtSteps = [.. steps.OrderBy(each => each.Step)] };
    }

    /// <summary>Why a kind that the plan names could never happen, or null. Of all kinds together (any) those that can happen do.</summary>
    /// <param name="workers">Worker processes.</param>
    /// <param name="nodes">Nodes with a snapshot manager.</param>
    public string? WhyNever(int workers, int nodes)
    {
        var named = AtSteps.Select(each => each.Kind).Concat(Every.Count < Kinds.Length ? Every.Keys : []);
        return named.Select(kind => kind switch
        {
            ChaosKind.Node or ChaosKind.Outage when nodes <= Nodes => $"{Word(kind)} takes {(Nodes == 1 ? "a node" : $"{Nodes} nodes at once")} and leaves another, of {nodes} with memory snapshots; start with --nodes {Nodes + 1} or more, under a policy that keeps snapshots",
            ChaosKind.Kill or ChaosKind.Stop when workers < 2 => $"{Word(kind)} leaves another worker; start with --workers 2 or more",
            _ => null,
        }).FirstOrDefault(reason => reason is not null);
    }

    /// <summary>A kind as it is written.</summary>
    public static string Word(ChaosKind kind) => kind.ToString().ToLowerInvariant();

    /// <summary>The faults that wait for a step, in order; a pure function of the plan.</summary>
    public IEnumerable<ChaosFault> StepFaults() => AtSteps.Select((each, index) =>
        new ChaosFault(TimeSpan.Zero, each.Kind, CountOf(each.Kind, index + 1), Philox.Uniform(Seed, RandomPurpose.Chaos, (ulong)each.Kind, (1UL << 41) + (ulong)index), For, each.Step));

    /// <summary>The faults of the clock, in order; a pure function of the plan.</summary>
    public IEnumerable<ChaosFault> Faults()
    {
        if (Every.Count == 0) yield break;
        // Independent sequences, merged by time.
        var now = TimeSpan.Zero;
        var next = Every.ToDictionary(pair => pair.Key, pair => (At: pair.Value * Jitter(pair.Key, 0) * First(pair.Key), Index: 0UL));
        for (var number = 1; number <= Most; number++)
        {
            var (kind, (at, index)) = next.OrderBy(pair => pair.Value.At).ThenBy(pair => pair.Key).First();
            next[kind] = (at + Every[kind] * Jitter(kind, index + 1), index + 1);
            yield return new ChaosFault(at - now, kind, CountOf(kind, number), Philox.Uniform(Seed, RandomPurpose.Chaos, (ulong)kind, 2 * index + 1), For);
            now = at;
            if (number == int.MaxValue) yield break;
        }
    }

    private int CountOf(ChaosKind kind, int number) => kind is ChaosKind.Node or ChaosKind.Outage ? Nodes : Pair > 0 && number % Pair == 0 ? 2 : 1;

    private double Jitter(ChaosKind kind, ulong index) => 0.7 + 0.6 * Philox.Uniform(Seed, RandomPurpose.Chaos, (ulong)kind, 2 * index);

    // Many kinds of one rate do not all wait for their whole time before the first fault: their phases are spread.
    private double First(ChaosKind kind) => Every.Count <= 2 ? 1 : Philox.Uniform(Seed, RandomPurpose.Chaos, (ulong)kind, 1UL << 40);

    private static ChaosKind? KindOf(string key) => key == "hang" ? ChaosKind.Stop : Enum.GetValues<ChaosKind>().Where(kind => Word(kind) == key).Select(kind => (ChaosKind?)kind).FirstOrDefault();

    private static TimeSpan Time(string part, string value)
    {
        var (number, unit) = value.EndsWith("ms", StringComparison.Ordinal) ? (value[..^2], 0.001) : value.EndsWith('s') ? (value[..^1], 1.0) : value.EndsWith('m') ? (value[..^1], 60.0) : ("", 0);
        return double.TryParse(number, NumberStyles.Float, CultureInfo.InvariantCulture, out var amount) && amount is > 0 and < 1e6
            ? TimeSpan.FromSeconds(amount * unit)
            : throw PerennialException.Usage($"--chaos {part}: a time such as 15s, 500ms or 2m is expected, or @40 for step 40");
    }

    private static long Number(string part, string value, long greatest) =>
        long.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number <= greatest ? number : throw PerennialException.Usage($"--chaos {part}: a whole number is expected");
}
