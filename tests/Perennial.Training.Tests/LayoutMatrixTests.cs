using Perennial.Data;
using Perennial.Models;
using Perennial.Optimization;
using Perennial.Resilience.Groups;
using Perennial.Resilience.Layouts;
using Perennial.Resilience.Plans;
using Perennial.Resilience.Universal;
using Perennial.Tensors;
using Perennial.Training.Parallel;

namespace Perennial.Training.Tests;

/// <summary>Issue 3, bar 6: save under each shape, load under each other one.</summary>
public sealed class LayoutMatrixTests : IDisposable
{
    private static readonly string[] Shapes = ["data=4,zero=1", "data=2,tensor=2", "data=2,pipeline=2", "tensor=4", "data=4,zero=3", "data=1"];

    // Grouped heads, one embedding for both ends, a vocabulary and an inner width that do not divide.
    private static readonly DecoderConfig Config = new()
    {
        Family = ModelFamily.Llama, Vocabulary = 67, Context = 16, Width = 64, Layers = 3, Heads = 4, HeadWidth = 16, KeyValueHeads = 2, Intermediate = 88, TiedHead = true, InitializerRange = 0.1,
    };

    private readonly string place = Directory.CreateTempSubdirectory("perennial-matrix-").FullName;

    public LayoutMatrixTests() => TorchRuntime.EnsureLoaded();

    public void Dispose() => Directory.Delete(place, recursive: true);

    private static LocalWorld World(string shape) => new(Config, ParallelShape.Parse(shape), parameters => new AdamW(new AdamWOptions(), parameters));

    private static TokenBatch Batch(int seed)
    {
        var random = new Random(seed);
        return new TokenBatch(8, 16) { Inputs = [.. Enumerable.Range(0, 128).Select(_ => (long)random.Next(67))], Targets = [.. Enumerable.Range(0, 128).Select(_ => (long)random.Next(67))], SampleIds = new long[8] };
    }

    private static ProgressRecord Progress => new(3, 384, 24, new Dictionary<string, ulong> { ["run"] = 7 }, new Dictionary<string, long> { ["optimizer"] = 3 }, new Dictionary<string, string>());

    [Fact]
    public void Every_shape_takes_up_what_every_other_saved()
    {
        var worlds = Shapes.ToDictionary(shape => shape, World);
        try
        {
            var saved = new Dictionary<string, (string Folder, double Next, Dictionary<string, byte[]> Whole)>();
            foreach (var (shape, world) in worlds)
            {
                world.Initialize(5);
                for (var step = 1; step <= 3; step++) world.Step(Batch(step), step);
                var folder = Directory.CreateDirectory(Path.Combine(place, shape)).FullName;
                world.Save(folder, Progress);
                saved.Add(shape, (folder, world.Step(Batch(4), 0).Loss, Whole(world)));
            }
            foreach (var (from, state) in saved)
                foreach (var (to, world) in worlds)
                {
                    var loads = world.Load(state.Folder);
                    foreach (var (slot, bytes) in Whole(world)) Assert.True(bytes.AsSpan().SequenceEqual(state.Whole[slot]), $"{from} to {to}: slot {slot} differs");
                    var needed = world.Layout.Slots.Sum(slot => slot.Layout.Ranks.Sum(rank => rank.Held));
                    Assert.Equal(needed, loads.Sum(load => load.BytesNeeded));
                    Assert.True(loads.Sum(load => load.BytesRead) <= 1.1 * needed, $"{from} to {to}: {loads.Sum(load => load.BytesRead)} bytes read for {needed}");
                    Assert.Equal(state.Next, world.Step(Batch(4), 0).Loss, 1e-5 * state.Next);
                }
        }
        finally
        {
            foreach (var world in worlds.Values) world.Dispose();
        }
    }

    [Fact]
    public void A_move_between_shapes_sends_what_ranks_lack_and_no_byte_more()
    {
        foreach (var from in Shapes)
            foreach (var to in Shapes)
                foreach (var (one, other) in State(from).Slots.Zip(State(to).Slots))
                    Assert.Equal(Lacking(one.Layout, other.Layout), TransferPlan.Between(one.Layout, other.Layout).MovedBytes);

        static StateLayout State(string shape) => new DecoderPlacement(Config, ParallelShape.Parse(shape)).State([("m", true), ("v", true)]);
    }

    [Theory]
    [InlineData("data=2,tensor=2", "data=4,zero=3")]
    [InlineData("data=4,zero=1", "data=2,pipeline=2")]
    [InlineData("data=1", "tensor=4")]
    public void Processes_carry_out_a_move_by_messages(string from, string to)
    {
        Layout Of(string shape) => new DecoderPlacement(Config, ParallelShape.Parse(shape)).State([("m", true)]).Slots[1].Layout;
        var (one, other) = (Of(from), Of(to));
        var plan = TransferPlan.Between(one, other);
        var random = new Random(3);
        var whole = new byte[new DecoderPlacement(Config, ParallelShape.Single).Whole.Ranks[0].Bytes];
        random.NextBytes(whole);
        var sources = Spread(whole, one);
        var (wanted, got, received) = (Spread(whole, other), other.Ranks.Select(rank => new byte[rank.Bytes]).ToArray(), new long[4]);
        var hub = new ThreadHub();
        var threads = Enumerable.Range(0, 4).Select(rank => new Thread(() =>
        {
            using var group = hub.Create(new GroupSettings { Name = "move", Rank = rank, Size = 4 });
            received[rank] = TransferExchange.Run(plan, group, FlatBytes.Of(rank < sources.Length ? sources[rank] : []), FlatBytes.Of(rank < got.Length ? got[rank] : []));
        })).ToList();
        threads.ForEach(thread => thread.Start());
        threads.ForEach(thread => thread.Join());
        Assert.Equal(wanted, got);
        Assert.Equal(plan.MovedBytes, received.Sum());

        static byte[][] Spread(byte[] whole, Layout layout)
        {
            var single = new DecoderPlacement(Config, ParallelShape.Single).Whole;
            var targets = layout.Ranks.Select(rank => new byte[rank.Bytes]).ToArray();
            TransferRun.Apply(TransferPlan.Between(single, layout), [FlatBytes.Of(whole)], [.. targets.Select(target => FlatBytes.Of(target))]);
            return targets;
        }
    }

    /// <summary>Bytes that target ranks need and do not have, counted one by one.</summary>
    private static long Lacking(Layout from, Layout to)
    {
        long lacking = 0;
        for (var rank = 0; rank < to.Ranks.Count; rank++)
            for (var tensor = 0; tensor < to.Tensors.Count; tensor++)
            {
                var held = new bool[to.Tensors[tensor].Bytes];
                if (rank < from.Ranks.Count) Mark(from.Ranks[rank], tensor, held);
                var needed = new bool[held.Length];
                Mark(to.Ranks[rank], tensor, needed);
                for (var i = 0; i < held.Length; i++) lacking += needed[i] && !held[i] ? 1 : 0;
            }
        return lacking;

        static void Mark(RankBuffer buffer, int tensor, bool[] marks)
        {
            foreach (var run in buffer.Runs.Where(run => run.Tensor == tensor))
                for (long row = 0; row < run.Count; row++) marks.AsSpan((int)(run.Logical + row * run.LogicalStride), (int)run.Length).Fill(true);
        }
    }

    /// <summary>Every slot of the whole model, read over the layout.</summary>
    private static Dictionary<string, byte[]> Whole(LocalWorld world)
    {
        var single = new DecoderPlacement(Config, ParallelShape.Single).Whole;
        var wholes = new Dictionary<string, byte[]>();
        foreach (var slot in world.Layout.Slots)
        {
            var bytes = new byte[single.Ranks[0].Bytes];
            TransferRun.Apply(TransferPlan.Between(slot.Layout, single), [.. world.Ranks.Select(rank => rank.State.Buffers()[slot.Slot.Name])], [FlatBytes.Of(bytes)]);
            wholes.Add(slot.Slot.Name, bytes);
        }
        return wholes;
    }
}
