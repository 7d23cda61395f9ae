namespace Perennial.Resilience.Universal;

/// <summary>
/// The state that is not a tensor. Every rank has all of it and it is never cut: position and keys are functions of the run, not
/// of a rank.
/// </summary>
/// <param name="Step">Optimizer steps done.</param>
/// <param name="Tokens">Tokens seen.</param>
/// <param name="Cursor">The global sample position that comes next.</param>
/// <param name="Generators">Generator keys by purpose.</param>
/// <param name="Counters">Step counters of optimizer slots and other whole numbers, by name.</param>
/// <param name="Values">Schedule position, loss scale, scalars of practices, as their exact text, by name.</param>
public sealed record ProgressRecord(
    long Step, long Tokens, long Cursor, IReadOnlyDictionary<string, ulong> Generators, IReadOnlyDictionary<string, long> Counters, IReadOnlyDictionary<string, string> Values)
{
    /// <summary>What differs from another record, in words; empty when nothing does.</summary>
    public IEnumerable<string> Differences(ProgressRecord found)
    {
        ArgumentNullException.ThrowIfNull(found);
        if (Step != found.Step) yield return $"step {found.Step} instead of {Step}";
        if (Tokens != found.Tokens) yield return $"{found.Tokens} tokens instead of {Tokens}";
        if (Cursor != found.Cursor) yield return $"data cursor {found.Cursor} instead of {Cursor}";
        foreach (var difference in Compare("generator key", Generators, found.Generators).Concat(Compare("counter", Counters, found.Counters)).Concat(Compare("value", Values, found.Values)))
            yield return difference;
    }

    private static IEnumerable<string> Compare<T>(string kind, IReadOnlyDictionary<string, T> expected, IReadOnlyDictionary<string, T> found)
        where T : notnull
    {
        foreach (var name in expected.Keys.Union(found.Keys, StringComparer.Ordinal).Order(StringComparer.Ordinal))
        {
            if (!found.TryGetValue(name, out var actual)) yield return $"{kind} '{name}' is missing";
            else if (!expected.TryGetValue(name, out var wanted)) yield return $"{kind} '{name}' belongs to nothing";
            else if (!actual.Equals(wanted)) yield return $"{kind} '{name}' is {actual} instead of {wanted}";
        }
    }
}
