using System.Globalization;
using Perennial.Core;
using Perennial.Resilience.Groups;
using Perennial.Resilience.Layouts;
using Perennial.Resilience.Partition;
using Perennial.Resilience.Plans;
using Perennial.Training.Loop;
using Perennial.Training.Memory;
using Perennial.Training.Parallel;
using Perennial.Training.State;

namespace Perennial.Training.Runs;

/// <summary>
/// Gives the places of a plan their state, from where it is newest and nearest: what processes have between them, whatever shape it is of; else what
/// was kept on nodes; else a checkpoint. Every process makes the same calls.
/// </summary>
/// <param name="run">The run.</param>
/// <param name="parts">The run as its recipe has it.</param>
/// <param name="disk">The run folder.</param>
/// <param name="held">All parts that this process has.</param>
/// <param name="next">Its part in the plan; null where it stands by.</param>
/// <param name="everyone">All processes: those with a place first, by place.</param>
/// <param name="roll">Who has what, by rank of <paramref name="everyone"/>.</param>
/// <param name="plan">The plan.</param>
/// <param name="to">The new layout.</param>
internal sealed class FixedTakeover(FixedRun run, RunParts parts, FixedDisk disk, IReadOnlyList<FixedPart> held, FixedPart? next, ICommunicator everyone, RollCall roll, FixedPlan plan, StateLayout to)
{
    /// <summary>Brings the state; says how.</summary>
    /// <exception cref="CommunicatorException">A process was lost; a part whose state was being replaced is torn.</exception>
    public string Take()
    {
        var states = roll.States();
        if (states.Count > 0 && Enumerable.Range(0, plan.Shape.Ranks).All(place => states[0].Parts[place]?.Is(plan.Cut, place) == true))
        {
            Settle(isDurable: false);
            return "nothing was lost";
        }
        var how = states.Select(FromPeers).FirstOrDefault(words => words is not null) ?? FromMemory();
        if (how is not null)
        {
            Settle(isDurable: false);
            return how;
        }
        how = next is null ? "" : disk.Read(next, roll.HasBegun);
        Settle(isDurable: true);
        return how;
    }

    private void Settle(bool isDurable)
    {
        if (next is null) return;
        if (!isDurable) disk.NoteDurable(next);
        (next.HasState, next.Replicas.IsTorn) = (true, false);
        next.Parts.Model.ParametersChanged();
        next.Loop.RestorePractices();
    }

    private string? FromPeers(HeldState state)
    {
        var move = new StateMove(everyone, Learn(state), to);
        var carriers = state.Carriers();
        if (!move.IsComplete(carriers)) return null;
        var source = Mine(state);
        // Who has all that its place needs is a source and stays as it is.
        var target = next is null || next == source ? next?.State.Buffers() : next.Replace();
        double[] moved = [move.FromPeers(carriers, source?.State.Buffers(), target)];
        Put(StateMove.Share(everyone, state.First, source?.Progress));
        everyone.AllReduce<double>(moved);
        var lost = Enumerable.Range(0, carriers.Count).Where(place => carriers[place] < 0).ToList();
        var what = state.Cut == plan.Cut ? $"the state of rank {string.Join(" and ", lost)}" : $"what {plan} needs of {Words(state)}";
        return string.Create(CultureInfo.InvariantCulture, $"{what} came from peers' memory ({moved[0] / (1 << 20):F1} MiB); no checkpoint was read");
    }

    /// <summary>From the managers' memory, if nothing newer is whole on disk: under the shape that was lost, then under the present one.</summary>
    private string? FromMemory()
    {
        if (run.Options.Memory is not { } settings) return null;
        // What was recalled is known to be of no use under the present shape, and needs all its places.
        foreach (var state in roll.Arrangements().Where(state => state.Lineage == FixedRecall.Lineage ? state.Carriers().All(rank => rank >= 0) : state.Cut != plan.Cut))
            if (FromRows(settings, state) is { } words) return words;
        var how = next?.Memory!.Restore(step => disk.HasNothingNewer(next, step), () => next.Replace(), roll.HasBegun);
        // Those that stand by learn whether the others go on to the disk.
        if (everyone.Size > plan.Shape.Ranks)
        {
            long[] found = [how is null ? 0 : 1];
            everyone.Broadcast<long>(found, 0);
            if (next is null) return found[0] > 0 ? "" : null;
        }
        if (how is null) return null;
        // Under ZeRO each rank has its piece of the weights back: the others' pieces come from them.
        next!.Decoder.Publish();
        _ = next.Summary();
        return how;
    }

    /// <summary>What each process and those that were lost kept under the old shape is read by those that are left, and carried into the new one.</summary>
    private string? FromRows(MemorySettings settings, HeldState state)
    {
        var arrangement = Learn(state);
        var readers = Readers(state);
        var source = Mine(state);
        long[] room = [source?.Memory!.Room ?? 0];
        everyone.Broadcast<long>(room, state.First);
        IReadOnlyList<int> places = [.. Enumerable.Range(0, readers.Length).Where(place => readers[place].Rank == everyone.Rank).OrderBy(place => readers[place].Row)];
        var done = new PartRestore(settings, source?.Memory!.Reader(places), everyone, state.First, line => next?.Memory?.Alarm(line), roll.HasBegun).Run(step => disk.HasNothingNewer(source!, step), rows =>
        {
            var bytes = rows == 0 ? FlatBytes.Of(Memory<byte>.Empty) : FlatBytes.At(rows, places.Count * room[0]);
            new StateMove(everyone, arrangement, to).FromRows(readers, bytes, room[0], next?.Replace());
            Put(StateMove.Share(everyone, state.First, rows == 0 ? null : StateBytes.ReadProgress(rows, "the snapshot in memory")));
        });
        return done is null ? null : $"{ReplicaRestore.Words(done)}; {plan} has what was kept of {Words(state)}";
    }

    /// <summary>Who reads which place's memory: its own process (row 0), or for a lost one without a living copy one of the others.</summary>
    private static (int Rank, int Row)[] Readers(HeldState state)
    {
        var (shape, carriers) = (state.Cut.Shape, state.Carriers());
        var able = Enumerable.Range(0, state.Parts.Count).Where(rank => state.Parts[rank] is not null).ToList();
        var (rows, next) = (new Dictionary<int, int>(), 0);
        return [.. Enumerable.Range(0, carriers.Count).Select(place =>
        {
            if (carriers[place] >= 0) return (carriers[place], 0);
            var at = shape.CoordinatesOf(place);
            if (shape.Zero == 0 && Enumerable.Range(0, shape.Data).Any(data => carriers[shape.RankOf(at with { Data = data })] >= 0)) return (-1, 0);
            var rank = able[next++ % able.Count];
            return (rank, rows[rank] = rows.GetValueOrDefault(rank) + 1);
        })];
    }

    private void Put(Progress progress)
    {
        if (next is null) return;
        next.Parts.State.Progress = progress;
        next.Parts.Model.ParametersChanged();
        _ = next.Summary();
    }

    private Arrangement Learn(HeldState state) => Arrangement.Learn(everyone, state.First, Mine(state)?.State.Holdings, () => new ParallelPlace(state.Cut.Shape, 0, state.Cut.Cut).Placement(parts.Recipe, parts.Config));

    private FixedPart? Mine(HeldState state) => state.Parts[everyone.Rank] is null ? null : held.First(part => part.Lineages.Contains(state.Lineage));

    private static string Words(HeldState state) => new FixedPlan(state.Cut.Shape, [.. state.Cut.Cut.Ends], []).ToString();
}
