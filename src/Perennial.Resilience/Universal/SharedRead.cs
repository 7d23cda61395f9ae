using Perennial.Resilience.Groups;
using Perennial.Resilience.Layouts;
using Perennial.Resilience.Plans;

namespace Perennial.Resilience.Universal;

/// <summary>
/// One slot of a checkpoint, read by all ranks together: each byte of its files is read and checked by one of them, and travels to those that need it.
/// It is for layouts in which each for itself would read much more than it needs: a slice of a dimension that is not the first lies in every chunk, so
/// every rank would read all of the tensor.
/// </summary>
internal sealed class SharedRead
{
    // A tenth more than is needed is less trouble than bytes that travel.
    private const double MostReadAlone = 1.1;

    private SharedRead(TransferPlan plan) => Plan = plan;

    /// <summary>From files to ranks.</summary>
    public TransferPlan Plan { get; }

    /// <summary>A plan where reading together is better; null where each rank reads for itself. Every rank comes to the same answer.</summary>
    /// <param name="slot">The slot as it is stored.</param>
    /// <param name="target">The layout to load into.</param>
    /// <param name="chunkBytes">Bytes that one checksum covers.</param>
    public static SharedRead? Of(UniversalSlot slot, Layout target, int chunkBytes)
    {
        var plan = TransferPlan.Between(slot.Stored, target, new TransferOptions(Means: !target.Equals(slot.Live)));
        // Means are made by whoever wants them, out of several files.
        if (plan.Means.Count > 0) return null;
        var alone = Chunks(plan, chunkBytes).Distinct().Sum(touched => Math.Min(chunkBytes, slot.Stored.Ranks[touched.File].Bytes - touched.Chunk * chunkBytes));
        return alone > MostReadAlone * plan.Copies.Sum(copy => copy.Bytes) ? new SharedRead(plan) : null;
    }

    /// <summary>Fills this rank's buffer; every rank of the group calls it.</summary>
    /// <param name="group">The ranks of the target layout.</param>
    /// <param name="read">Reads and checks one file's part of the slot.</param>
    /// <param name="buffer">This rank's buffer.</param>
    /// <param name="written">Told of every write.</param>
    /// <exception cref="CommunicatorException">The group broke.</exception>
    public void Run(ICommunicator group, Func<int, FlatBytes> read, FlatBytes buffer, Action<TransferCopy> written)
    {
        // A file a rank at a time: the files stay where they are mapped, so nothing is held twice.
        for (var first = 0; first < Plan.From.Ranks.Count; first += group.Size)
        {
            var round = first;
            var carriers = Plan.From.Ranks.Select((_, file) => (file - round < group.Size ? file - round : -1, 0L)).ToArray();
            var mine = first + group.Rank;
            TransferExchange.Run(Plan.CarriedBy(carriers), group, mine < Plan.From.Ranks.Count ? read(mine) : FlatBytes.Of(Memory<byte>.Empty), buffer, written);
        }
    }

    private static IEnumerable<(int Target, int File, long Chunk)> Chunks(TransferPlan plan, int chunkBytes)
    {
        foreach (var copy in plan.Copies)
            for (long row = 0; row < copy.Count; row++)
            {
                var start = copy.SourceOffset + row * copy.SourceStride;
                for (var chunk = start / chunkBytes; chunk <= (start + copy.Length - 1) / chunkBytes; chunk++) yield return (copy.Target, copy.Source, chunk);
            }
    }
}
