using Perennial.Core;

namespace Perennial.Data.Orders;

/// <summary>The order of the source's files, the same every epoch.</summary>
[Component("sequential")]
public sealed class SequentialOrder : ISampleOrder
{
    /// <inheritdoc/>
    public long Window(long epoch, long position) => position;
}
