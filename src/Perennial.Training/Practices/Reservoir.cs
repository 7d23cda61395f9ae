using System.Text.Json.Nodes;
using Perennial.Core;
using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Training.Practices;

/// <summary>A replay buffer of bounded size: reservoir sampling (Vitter 1985, algorithm R), one reservoir for all or one a source. Slots: identity and stage of every kept sample, int64 <c>[capacity]</c>.</summary>
internal sealed unsafe class Reservoir : IReplayBuffer
{
    private const ulong Draws = 2UL << 40;
    private const int SourceShift = 48;
    private readonly Tensor samples, stages;
    private readonly long[] seen; // samples offered to each part so far
    private readonly int quota;
    private readonly ulong seed;

    public Reservoir(int capacity, int parts, ulong seed)
    {
        (quota, this.seed, seen) = (Math.Max(1, capacity / parts), seed, new long[parts]);
        using var scope = NewDisposeScope();
        samples = zeros(quota * parts, ScalarType.Int64).DetachFromDisposeScope();
        stages = zeros(quota * parts, ScalarType.Int64).DetachFromDisposeScope();
    }

    public IReadOnlyList<StateSlot> Slots => [new("reservoir.samples", samples) { Index = Whole }, new("reservoir.stages", stages) { Index = Whole }];

    // They belong to no parameter: every process keeps all of them.
    private SlotIndex Whole => SlotIndex.Whole([("kept samples", 0, 0, samples.NumberOfElements)]);

    private long* Samples => (long*)TensorMemory.Address<long>(samples);

    private long* Stages => (long*)TensorMemory.Address<long>(stages);

    public JsonObject Save() => new() { ["offered"] = new JsonArray([.. seen.Select(count => (JsonNode)JsonValue.Create(count))]) };

    public void Load(JsonObject state)
    {
        var counts = (JsonArray)state["offered"]!;
        for (var i = 0; i < seen.Length; i++) seen[i] = (long)counts[i]!;
    }

    public void Add(int stage, long position, IReadOnlyList<long> ids)
    {
        foreach (var id in ids)
        {
            var part = seen.Length == 1 ? 0 : (int)(id >> SourceShift);
            var number = seen[part]++;
            var place = number < quota ? number : (long)(Philox.Uniform(seed, RandomPurpose.Practice, (ulong)number, Draws | (uint)part) * (number + 1));
            if (place >= quota) continue;
            (Samples[part * quota + place], Stages[part * quota + place]) = (id, stage);
        }
    }

    public bool HasAny(int limit) => Enumerable.Range(0, seen.Length).Any(part => Eligible(part, limit).Count > 0);

    public IReadOnlyList<long> Draw(int limit, IReadOnlyList<double> draws, IPracticeServices services)
    {
        var parts = Enumerable.Range(0, seen.Length).Select(part => Eligible(part, limit)).Where(part => part.Count > 0).ToList();
        return [.. draws.Select(draw =>
        {
            var scaled = draw * parts.Count;
            var part = parts[(int)scaled];
            return part[(int)((scaled - Math.Floor(scaled)) * part.Count)];
        })];
    }

    public void Dispose()
    {
        samples.Dispose();
        stages.Dispose();
    }

    private List<long> Eligible(int part, int limit)
    {
        var found = new List<long>();
        for (var i = 0L; i < Math.Min(seen[part], quota); i++)
            if (Stages[part * quota + i] < limit) found.Add(Samples[part * quota + i]);
        return found;
    }
}
