using System.Text.Json.Nodes;
using Perennial.Tensors;

namespace Perennial.Training.Practices;

/// <summary>An unbounded replay buffer: stretches of positions that were trained on. A few numbers a stage, however much was seen; left-out batches are gaps.</summary>
/// <param name="balanced">Whether every stage is drawn alike.</param>
internal sealed class SeenPositions(bool balanced) : IReplayBuffer
{
    private readonly List<(int Stage, long First, long Count)> runs = [];

    public IReadOnlyList<StateSlot> Slots => [];

    public JsonObject Save() => new() { ["seen"] = new JsonArray([.. runs.Select(run => (JsonNode)new JsonArray(run.Stage, run.First, run.Count))]) };

    public void Load(JsonObject state)
    {
        runs.Clear();
        runs.AddRange(((JsonArray)state["seen"]!).Select(run => ((int)(long)Parsed(run![0]!), Parsed(run[1]!), Parsed(run[2]!))));
    }

    public void Add(int stage, long position, IReadOnlyList<long> ids)
    {
        if (ids.Count == 0) return;
        if (runs.Count > 0 && runs[^1].Stage == stage && runs[^1].First + runs[^1].Count == position) runs[^1] = runs[^1] with { Count = runs[^1].Count + ids.Count };
        else runs.Add((stage, position, ids.Count));
    }

    public bool HasAny(int limit) => runs.Any(run => run.Stage < limit);

    public IReadOnlyList<long> Draw(int limit, IReadOnlyList<double> draws, IPracticeServices services)
    {
        var eligible = runs.Where(run => run.Stage < limit).ToList();
        var stages = eligible.Select(run => run.Stage).Distinct().ToList();
        return [.. draws.Select(draw =>
        {
            var among = eligible;
            if (balanced)
            {
                // The draw's whole part chooses the stage, what is left of it the sample.
                var scaled = draw * stages.Count;
                var stage = stages[(int)scaled];
                (among, draw) = ([.. eligible.Where(run => run.Stage == stage)], scaled - Math.Floor(scaled));
            }
            var index = (long)(draw * among.Sum(run => run.Count));
            foreach (var run in among)
            {
                if (index < run.Count) return services.SampleAt(run.Stage, run.First + index);
                index -= run.Count;
            }
            throw new InvalidOperationException("a draw below 1 fell beyond the end");
        })];
    }

    public void Dispose()
    {
    }

    // A node made in memory from an int converts to nothing else; one that was parsed does.
    private static long Parsed(JsonNode node) => node.GetValueKind() == System.Text.Json.JsonValueKind.Number ? long.Parse(node.ToJsonString(), System.Globalization.CultureInfo.InvariantCulture) : throw new FormatException("a number was expected");
}
