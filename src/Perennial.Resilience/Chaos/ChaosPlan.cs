using System.Globalization;
using Perennial.Core;

namespace Perennial.Resilience.Chaos;

/// <summary>What is done to a worker.</summary>
public enum ChaosKind
{
    /// <summary>Killed at once (SIGKILL).</summary>
    Kill,

    /// <summary>Stopped for a while (SIGSTOP, later SIGCONT): a hang.</summary>
    Hang,
}

/// <summary>One fault.</summary>
/// <param name="After">Time since the fault before, or since all workers took their first step.</param>
/// <param name="Kind">What is done.</param>
/// <param name="Workers">How many workers it is done to, at the same moment.</param>
/// <param name="Draw">Decides which: uniform on 0 … 1, to be scaled to the workers that are there.</param>
/// <param name="For">How long a hang lasts.</param>
public sealed record ChaosFault(TimeSpan After, ChaosKind Kind, int Workers, double Draw, TimeSpan For);

/// <summary>
/// Faults by seed and rate: <c>kill=15s</c>, <c>hang=20s</c>, with <c>pair=3</c> (every third fault hits two workers at once), <c>for=2s</c> (how long a
/// hang lasts), <c>seed=1</c> and <c>most=10</c> (faults in all), separated by commas. The time between faults is uniform on 0.7 to 1.3 times the stated one.
/// </summary>
public sealed record ChaosPlan
{
    /// <summary>Mean time between kills; null for none.</summary>
    public TimeSpan? Kill { get; init; }

    /// <summary>Mean time between hangs; null for none.</summary>
    public TimeSpan? Hang { get; init; }

    /// <summary>Every so many faults, one hits two workers; 0 for never.</summary>
    public int Pair { get; init; }

    /// <summary>How long a hang lasts.</summary>
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
        var plan = new ChaosPlan();
        foreach (var part in text.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
        {
            var (key, value) = part.Split('=', 2) is [var left, var right] ? (left, right) : (part, "");
            plan = key switch
            {
                "kill" => plan with { Kill = Time(part, value) },
                "hang" => plan with { Hang = Time(part, value) },
                "for" => plan with { For = Time(part, value) },
                "pair" => plan with { Pair = (int)Number(part, value, 1_000_000) },
                "most" => plan with { Most = (int)Number(part, value, int.MaxValue) },
                "seed" => plan with { Seed = (ulong)Number(part, value, long.MaxValue) },
                _ => throw PerennialException.Usage($"--chaos {part}: unknown; write for example kill=15s,pair=3,seed=1 (also: hang=20s, for=2s, most=10)"),
            };
        }
        if (plan.Kill is null && plan.Hang is null) throw PerennialException.Usage($"--chaos {text}: names no fault; write for example kill=15s");
        return plan;
    }

    /// <summary>The faults, in order; a pure function of the plan.</summary>
    public IEnumerable<ChaosFault> Faults()
    {
        // Two independent sequences, merged by time.
        var now = TimeSpan.Zero;
        var next = new Dictionary<ChaosKind, (TimeSpan At, ulong Number)>();
        if (Kill is { } kill) next[ChaosKind.Kill] = (kill * Jitter(ChaosKind.Kill, 0), 0);
        if (Hang is { } hang) next[ChaosKind.Hang] = (hang * Jitter(ChaosKind.Hang, 0), 0);
        for (var number = 1; number <= Most; number++)
        {
            var (kind, (at, index)) = next.MinBy(pair => pair.Value.At);
            var mean = kind == ChaosKind.Kill ? Kill!.Value : Hang!.Value;
            next[kind] = (at + mean * Jitter(kind, index + 1), index + 1);
            yield return new ChaosFault(at - now, kind, Pair > 0 && number % Pair == 0 ? 2 : 1, Philox.Uniform(Seed, RandomPurpose.Chaos, (ulong)kind, 2 * index + 1), For);
            now = at;
            if (number == int.MaxValue) yield break;
        }
    }

    private double Jitter(ChaosKind kind, ulong index) => 0.7 + 0.6 * Philox.Uniform(Seed, RandomPurpose.Chaos, (ulong)kind, 2 * index);

    private static TimeSpan Time(string part, string value)
    {
        var (number, unit) = value.EndsWith("ms", StringComparison.Ordinal) ? (value[..^2], 0.001) : value.EndsWith('s') ? (value[..^1], 1.0) : value.EndsWith('m') ? (value[..^1], 60.0) : ("", 0);
        return double.TryParse(number, NumberStyles.Float, CultureInfo.InvariantCulture, out var amount) && amount is > 0 and < 1e6
            ? TimeSpan.FromSeconds(amount * unit)
            : throw PerennialException.Usage($"--chaos {part}: a time such as 15s, 500ms or 2m is expected");
    }

    private static long Number(string part, string value, long greatest) =>
        long.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number <= greatest ? number : throw PerennialException.Usage($"--chaos {part}: a whole number is expected");
}
