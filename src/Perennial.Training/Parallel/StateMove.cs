using System.Text;
using Perennial.Resilience.Groups;
using Perennial.Resilience.Layouts;
using Perennial.Resilience.Plans;
using Perennial.Training.Memory;
using Perennial.Training.State;

namespace Perennial.Training.Parallel;

/// <summary>
/// Carries a state from one shape into another between processes: from the memory of those that have it, or from what some of them have read of the
/// snapshots of all. Every process makes the same plan and carries out its part of it.
/// </summary>
/// <param name="everyone">All processes: those with a place in the new shape first, by place.</param>
/// <param name="from">How the state lay.</param>
/// <param name="to">The new layout.</param>
internal sealed class StateMove(ICommunicator everyone, Arrangement from, StateLayout to)
{
    private static readonly TransferOptions Options = new(Unused: true, Means: false);

    /// <summary>Whether processes have all of it between them.</summary>
    /// <param name="carriers">For every old place the process that has it; −1 for a lost one.</param>
    public bool IsComplete(IReadOnlyList<int> carriers) => to.Slots.All(slot => Sources(slot.Slot.Name) is { } old && TransferPlan.Missing(old.Renumbered(everyone.Size, carriers), slot.Layout, Options).Count == 0);

    /// <summary>Moves it out of the buffers of those that have it.</summary>
    /// <param name="carriers">For every old place the process that has it; −1 for a lost one.</param>
    /// <param name="source">This process's buffers under the old layout; null where it is no source.</param>
    /// <param name="target">Its buffers under the new one; null where it has no place.</param>
    /// <returns>Bytes that travelled to this process.</returns>
    /// <exception cref="CommunicatorException">A process was lost; targets hold nothing of use.</exception>
    public long FromPeers(IReadOnlyList<int> carriers, IReadOnlyDictionary<string, FlatBytes>? source, IReadOnlyDictionary<string, FlatBytes>? target)
    {
        var received = 0L;
        foreach (var slot in to.Slots)
        {
            var plan = TransferPlan.Between(Sources(slot.Slot.Name)!.Renumbered(everyone.Size, carriers), slot.Layout, Options);
            received += TransferExchange.Run(plan, everyone, Of(source, slot), Of(target, slot));
        }
        return received;
    }

    /// <summary>Moves it out of rows of bytes that were kept on nodes: a process may have read several.</summary>
    /// <param name="readers">For every old place the process that has read it, and which of its rows that is; −1 for one that nobody read.</param>
    /// <param name="rows">This process's rows; empty where it read nothing.</param>
    /// <param name="room">Bytes from one row to the next, on every process.</param>
    /// <param name="target">Its buffers under the new layout; null where it has no place.</param>
    /// <returns>Bytes that travelled to this process.</returns>
    /// <exception cref="CommunicatorException">A process was lost; targets hold nothing of use.</exception>
    public long FromRows(IReadOnlyList<(int Rank, int Row)> readers, FlatBytes rows, long room, IReadOnlyDictionary<string, FlatBytes>? target)
    {
        // What a process read of its own stands under its number, so that what it keeps does not travel; what it read for lost ones behind all numbers.
        var places = Enumerable.Range(0, readers.Count).Where(place => readers[place].Rank >= 0).ToList();
        var numbers = Enumerable.Repeat(-1, readers.Count).ToArray();
        var next = everyone.Size;
        foreach (var place in places) numbers[place] = readers[place].Row == 0 ? readers[place].Rank : next++;
        var offsets = places.ToDictionary(place => place, place => from.Offsets(place, readers[place].Row * room + StateBytes.ProgressRoom));
        var received = 0L;
        foreach (var slot in to.Slots)
        {
            var name = slot.Slot.Name;
            var carriers = Enumerable.Range(0, next).Select(rank => (Rank: rank, Offset: 0L)).ToArray();
            foreach (var place in places) carriers[numbers[place]] = (readers[place].Rank, offsets[place].GetValueOrDefault(name));
            var plan = TransferPlan.Between(from.Kept.First(old => old.Slot.Name == name).Layout.Renumbered(next, numbers), slot.Layout, Options).CarriedBy(carriers);
            received += TransferExchange.Run(plan, everyone, rows, Of(target, slot));
        }
        return received;
    }

    /// <summary>The progress of one process, on all.</summary>
    /// <exception cref="CommunicatorException">A process was lost.</exception>
    public static Progress Share(ICommunicator everyone, int root, Progress? mine)
    {
        var text = GateExchange.Broadcast(everyone, everyone.Rank == root ? Encoding.UTF8.GetBytes(ProgressJson.Write(mine!)) : null, root);
        return ProgressJson.Read(Encoding.UTF8.GetString(text), "the state of a peer");
    }

    private Layout? Sources(string slot) => from.Layout.Find(slot)?.Layout;

    private static FlatBytes Of(IReadOnlyDictionary<string, FlatBytes>? buffers, SlotLayout slot) => buffers?.GetValueOrDefault(slot.Slot.Name) ?? FlatBytes.Of(Memory<byte>.Empty);
}
