using Perennial.Core;

namespace Perennial.Data.Synthetic;

/// <summary>
/// LEGO (Zhang et al. 2022; Chen et al. 2023, section 2): variables in a chain, the first a bit, each further one its predecessor or the
/// opposite; clauses are shuffled and one variable is asked. Its depth in the chain is the skill. <c>a=1;c-b;b+a;c?0</c>: c is not b, b is a.
/// </summary>
/// <param name="variables">Variables of a chain.</param>
/// <param name="letters">Letters that name them, at most 26.</param>
public sealed class LegoText(int variables, int letters = 26)
{
    /// <summary>Stands between question and answer.</summary>
    public const string Marker = "?";

    /// <summary>A sample: a pure function of (seed, depth, number).</summary>
    /// <param name="seed">Key.</param>
    /// <param name="depth">Depth of the asked variable, 1 to the number of variables.</param>
    /// <param name="number">Number of the sample.</param>
    public string Sample(ulong seed, int depth, long number)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(depth, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(depth, variables);
        var draw = 0UL;
        ulong Below(int bound) => Philox.Bits(seed, RandomPurpose.Corruption, (1UL << 40) + (ulong)depth, (ulong)number * 128 + draw++) % (ulong)bound;
        T[] Shuffled<T>(T[] items)
        {
            for (var i = items.Length - 1; i > 0; i--)
            {
                var j = (int)Below(i + 1);
                (items[i], items[j]) = (items[j], items[i]);
            }
            return items;
        }
        var names = Shuffled([.. Enumerable.Range(0, letters).Select(letter => (char)('a' + letter))]);
        var clauses = new string[variables];
        var (value, asked) = (0, 0);
        for (var i = 0; i < variables; i++)
        {
            var flips = (int)Below(2);
            value = i == 0 ? flips : value ^ flips;
            clauses[i] = i == 0 ? $"{names[0]}={value};" : $"{names[i]}{(flips == 1 ? '-' : '+')}{names[i - 1]};";
            if (i == depth - 1) asked = value;
        }
        return string.Concat(Shuffled(clauses)) + names[depth - 1] + Marker + asked;
    }

    /// <summary>So many different samples of a depth.</summary>
    /// <exception cref="PerennialException">Exit 2: there are not so many.</exception>
    public IEnumerable<string> Samples(ulong seed, int depth, int count)
    {
        var seen = new HashSet<string>(StringComparer.Ordinal);
        for (var number = 0L; seen.Count < count; number++)
        {
            if (number > 100L * count) throw PerennialException.Usage($"{count} different samples of {variables} variables out of {letters} letters are too many");
            var sample = Sample(seed, depth, number);
            if (seen.Add(sample)) yield return sample;
        }
    }
}
