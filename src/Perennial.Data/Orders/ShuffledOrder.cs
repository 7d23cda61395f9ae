using Perennial.Core;

namespace Perennial.Data.Orders;

/// <summary>Pseudorandom order, another one every epoch, without a shuffle buffer.</summary>
/// <param name="context">The source.</param>
[Component("shuffled")]
public sealed class ShuffledOrder(OrderContext context) : ISampleOrder
{
    /// <inheritdoc/>
    public long Window(long epoch, long position) =>
        Of(epoch)[position];

    /// <inheritdoc/>
    public void Windows(long epoch, long position, Span<long> windows) => Of(epoch).Fill(position, windows);

    private Permutation Of(long epoch) => new(context.Windows, context.Seed, ((ulong)context.Source << 48) | (ulong)epoch);
}
