using Perennial.Core;

namespace Perennial.Experiments.Stages;

/// <summary>Draws of one made-up document, a pure function of (seed, stream, document).</summary>
internal sealed class WorldDraws(ulong seed, ulong stream, ulong document)
{
    private ulong drawn;

    /// <summary>A uniform whole number from 0 to below a bound.</summary>
    public int Next(int below) => (int)(Uniform() * below);

    /// <summary>A uniform number from 0 to below 1.</summary>
    public double Uniform() => Philox.Uniform(seed, RandomPurpose.Corruption, stream << 32 | document, drawn++);

    /// <summary>One of several.</summary>
    public T Of<T>(IReadOnlyList<T> items) => items[Next(items.Count)];

    /// <summary>The items in a drawn order.</summary>
    public T[] Shuffled<T>(IEnumerable<T> items)
    {
        T[] order = [.. items];
        for (var i = order.Length - 1; i > 0; i--)
        {
            var j = Next(i + 1);
            (order[i], order[j]) = (order[j], order[i]);
        }
        return order;
    }
}
