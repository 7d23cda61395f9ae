using System.Text.Json;
using System.Text.Json.Serialization;
using Perennial.Resilience.Groups;
using Perennial.Resilience.Layouts;
using Perennial.Resilience.Partition;

namespace Perennial.Training.Parallel;

/// <summary>A part of a run's state that a process has.</summary>
/// <param name="Lineage">The membership in which it was made one state with the others': parts of one lineage and one step belong together.</param>
/// <param name="Shape">The shape it is a part of.</param>
/// <param name="Ends">The cut into stages.</param>
/// <param name="Place">Its place there.</param>
/// <param name="Step">Its step.</param>
/// <param name="IsWhole">Whether it is of that step, all of it.</param>
internal sealed record HeldPart(long Lineage, ParallelShape Shape, int[] Ends, int Place, long Step, bool IsWhole)
{
    /// <summary>The shape and its stages.</summary>
    [JsonIgnore]
    public ShapeCut Cut => new(Shape, new StagePartition(Ends));

    /// <summary>Whether it is the part that a place of a shape has.</summary>
    public bool Is(ShapeCut other, int place) => Place == place && Shape == other.Shape && Ends.SequenceEqual(other.Cut.Ends);
}

/// <summary>What a process tells the others when they meet.</summary>
/// <param name="Held">What it has; two parts where a change of shape broke at its end.</param>
/// <param name="Node">Its machine.</param>
/// <param name="Bytes">Memory that it may use; 0 where that is not known.</param>
/// <param name="HasBegun">Whether it has taken part in the run before.</param>
internal sealed record Presence(HeldPart[] Held, string Node, long Bytes, bool HasBegun)
{
    /// <summary>What its layers took in recent steps; of none where it has not measured.</summary>
    public StagePace Pace { get; init; }
}

/// <summary>State from which all can go on: parts of one lineage and step.</summary>
/// <param name="Lineage">The lineage.</param>
/// <param name="Step">The step.</param>
/// <param name="Parts">The part of every process; null for one that has none.</param>
internal sealed record HeldState(long Lineage, long Step, IReadOnlyList<HeldPart?> Parts)
{
    /// <summary>The shape that the parts are of.</summary>
    public ShapeCut Cut => Parts.First(part => part is not null)!.Cut;

    /// <summary>The first process that has one.</summary>
    public int First => Enumerable.Range(0, Parts.Count).First(rank => Parts[rank] is not null);

    /// <summary>For every place of the shape the process that has it; −1 for a lost one.</summary>
    public IReadOnlyList<int> Carriers()
    {
        var carriers = Enumerable.Repeat(-1, Cut.Shape.Ranks).ToArray();
        for (var rank = 0; rank < Parts.Count; rank++)
            if (Parts[rank] is { } part) carriers[part.Place] = rank;
        return carriers;
    }
}

/// <summary>Who is there and has what, the same list on all.</summary>
/// <param name="Present">By rank.</param>
internal sealed record RollCall(IReadOnlyList<Presence> Present)
{
    /// <summary>Tells the others and learns of them.</summary>
    /// <exception cref="CommunicatorException">A process was lost.</exception>
    public static RollCall Take(ICommunicator group, Presence mine) =>
        new([.. GateExchange.Gather(group, JsonSerializer.SerializeToUtf8Bytes(mine)).Select(text => JsonSerializer.Deserialize<Presence>(text)!)]);

    /// <summary>Whether anybody was there before.</summary>
    public bool HasBegun => Present.Any(one => one.HasBegun);

    /// <summary>
    /// States that may be gone on from, newest first. One that is more than a step behind what somebody has seen is left out: it may be that of a
    /// process that was away, and what memory and disk have is newer.
    /// </summary>
    public IReadOnlyList<HeldState> States()
    {
        var whole = Present.SelectMany(one => one.Held).Where(part => part.IsWhole).ToList();
        if (whole.Count == 0) return [];
        var newest = whole.Max(part => part.Step);
        return [.. whole.Where(part => part.Step >= newest - 1).Select(part => (part.Step, part.Lineage)).Distinct().OrderDescending()
            .Select(key => new HeldState(key.Lineage, key.Step, [.. Present.Select(one => one.Held.FirstOrDefault(part => part.IsWhole && part.Step == key.Step && part.Lineage == key.Lineage))]))];
    }

    /// <summary>The shapes that processes have parts of, newest lineage first, each with who has which: their memory on nodes may outlive what they have.</summary>
    public IReadOnlyList<HeldState> Arrangements() =>
        [.. Present.SelectMany(one => one.Held).Select(part => part.Lineage).Distinct().OrderDescending()
            .Select(lineage => new HeldState(lineage, -1, [.. Present.Select(one => one.Held.FirstOrDefault(part => part.Lineage == lineage))]))];

    /// <summary>The same in another order of ranks.</summary>
    /// <param name="order">For every new rank the present one.</param>
    public RollCall Ordered(IReadOnlyList<int> order) => new([.. order.Select(rank => Present[rank])]);
}
