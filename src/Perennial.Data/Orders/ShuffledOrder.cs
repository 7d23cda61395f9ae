using Perennial.Core;

namespace Perennial.Data.Orders;

/// <summary>Pseudorandom order, another one every epoch, without a shuffle buffer.</summary>
/// <param name="context">The source.</param>
[Component("shuffled")]
public sealed class ShuffledOrder(OrderContext context) : ISampleOrder
{
    /// <inheritdoc/>
    public long Window(long epoch, long position) =>
        new Permutation(context.Windows, context.Seed, ((ulong)context.Source << 48) | (ulong)epoch)[position];
}
