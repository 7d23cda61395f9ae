using Perennial.Core;
using Perennial.Core.Safetensors;
using Perennial.Models;
using Perennial.Models.HuggingFace;
using Perennial.Optimization;
using Perennial.Resilience.Layouts;
using Perennial.Resilience.Universal;
using Perennial.Tensors;
using Perennial.Training.Checkpoints;
using Perennial.Training.Parallel;
using static TorchSharp.torch;

namespace Perennial.Training.Tests;

/// <summary>Ranks' files to Hugging Face folders, to files of other shapes, to one file a tensor, and back.</summary>
public sealed class CheckpointConversionTests : IDisposable
{
    private static readonly DecoderConfig Config = new()
    {
        Family = ModelFamily.Gpt2, Vocabulary = 67, Context = 16, Width = 64, Layers = 2, Heads = 4, HeadWidth = 16, KeyValueHeads = 4, Intermediate = 88, TiedHead = true, InitializerRange = 0.1,
    };

    private readonly string place = Directory.CreateTempSubdirectory("perennial-convert-").FullName;

    public CheckpointConversionTests() => TorchRuntime.EnsureLoaded();

    public void Dispose() => Directory.Delete(place, recursive: true);

    private string At(string name) => Path.Combine(place, name);

    private string Saved()
    {
        var folder = Directory.CreateDirectory(At("ranks")).FullName;
        using var world = new LocalWorld(Config, ParallelShape.Parse("data=2,tensor=2,zero=1"), parameters => new AdamW(new AdamWOptions(), parameters));
        world.Initialize(9);
        world.Save(folder, ShardedCheckpoint.Record(new() { Step = 4, Cursor = 16 }, 9, "stream"));
        ConfigJson.Write(Config, folder);
        return folder;
    }

    private static float[] Weights(string folder)
    {
        using var scope = NewDisposeScope();
        var values = zeros(DecoderLayout.Of(Config).Length);
        if (ShardedCheckpoint.IsIn(folder)) ShardedCheckpoint.ReadWeights(folder, Config, values);
        else WeightFiles.Read(folder, Config, DecoderLayout.Of(Config), values);
        return values.data<float>().ToArray();
    }

    [Fact]
    public void Ways_round_lead_back_to_the_same_bits()
    {
        var ranks = Saved();
        using var fresh = Decoder.Fresh(Config, 9);
        var wanted = fresh.Parameters.Values.data<float>().ToArray();
        Assert.Equal(["model.safetensors"], CheckpointConversion.ToHuggingFace(ranks, At("hf"), new ConversionOptions()));
        Assert.Equal(wanted, Weights(At("hf")));
        Assert.True(CheckpointConversion.ToHuggingFace(ranks, At("shards"), new ConversionOptions { ShardBytes = 40_000 }).Count > 3);
        Assert.Equal(wanted, Weights(At("shards")));
        var atoms = CheckpointConversion.ToAtoms(ranks, At("atoms"));
        Assert.Equal(3, atoms.Slots.Count);
        Assert.Equal(DecoderLayout.Of(Config).Entries.Count, atoms.Files.Count);
        CheckpointConversion.ToShape(At("atoms"), At("pipes"), ParallelShape.Parse("pipeline=2,tensor=2"));
        CheckpointConversion.ToHuggingFace(At("pipes"), At("hf2"), new ConversionOptions());
        Assert.Equal(File.ReadAllBytes(At("hf/model.safetensors")), File.ReadAllBytes(At("hf2/model.safetensors")));
        // All of the state went along, and can be taken up.
        using var world = new LocalWorld(Config, ParallelShape.Parse("tensor=4"), parameters => new AdamW(new AdamWOptions(), parameters));
        world.Load(At("pipes"));
        Assert.Equal(4, ShardedCheckpoint.TryProgress(UniversalManifest.Read(At("pipes")), "pipes")!.Step);
    }

    public static TheoryData<string> WholeTensorKinds() => ["muon", "soap", "fira", "adafactor", "adamw-8bit", "schedule-free-adamw"];

    private static IOptimizer WholeTensorOptimizer(string kind, FlatParameters parameters) => kind switch
    {
        "muon" => new Muon(new(), parameters),
        "soap" => new Soap(new(), parameters),
        "fira" => new Fira(new(), parameters),
        "adafactor" => new Adafactor(new(), parameters),
        "adamw-8bit" => new AdamW8Bit(new() { Smallest = 64 }, parameters),
        _ => new ScheduleFreeAdamW(new(), parameters),
    };

    [Theory]
    [MemberData(nameof(WholeTensorKinds))]
    public void State_that_stays_whole_goes_along_into_every_form(string kind)
    {
        LocalWorld World(string shape) => new(Config, ParallelShape.Parse(shape), parameters => WholeTensorOptimizer(kind, parameters), atTensors: true);
        using (var saved = World("data=3,zero=1"))
        {
            saved.Initialize(9);
            saved.Each(rank =>
            {
                for (var i = 0L; i < rank.Decoder.Trained.Gradients.NumberOfElements; i++) TensorMemory.Span<float>(rank.Decoder.Trained.Gradients)[(int)i] = MathF.Sin(i + 31 * rank.Decoder.Rank);
                using (no_grad()) rank.Optimizer.Step(1, 1e-3, 1);
                rank.Decoder.Publish();
            });
            saved.Save(Directory.CreateDirectory(At("ranks")).FullName, ShardedCheckpoint.Record(new() { Step = 1, Cursor = 16 }, 9, "stream"));
            ConfigJson.Write(Config, At("ranks"));
        }
        CheckpointConversion.ToAtoms(At("ranks"), At("atoms"));
        CheckpointConversion.ToShape(At("atoms"), At("stages"), ParallelShape.Parse("pipeline=2"));
        CheckpointConversion.ToShape(At("stages"), At("one"), ParallelShape.Single);
        // The gate compares every slot with what was saved first.
        foreach (var shape in new[] { "data=1", "data=2,pipeline=2,zero=1", "data=3,zero=3" })
        {
            using var world = World(shape);
            world.Load(At("one"));
            world.Load(At("atoms"));
        }
        if (kind == "schedule-free-adamw") return;
        var error = Assert.Throws<PerennialException>(() => CheckpointConversion.ToShape(At("ranks"), At("cut"), ParallelShape.Parse("tensor=2")));
        Assert.Contains("use tensor: 1", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Weights_from_elsewhere_are_cut_for_any_shape()
    {
        CheckpointConversion.ToHuggingFace(Saved(), At("half"), new ConversionOptions { Type = SafetensorsType.BF16 });
        var rounded = Weights(At("half"));
        CheckpointConversion.ToShape(At("half"), At("cut"), ParallelShape.Parse("data=2,tensor=4,zero=3"));
        Assert.Equal(rounded, Weights(At("cut")));
        CheckpointConversion.ToAtoms(At("half"), At("atoms"));
        Assert.Equal(rounded, Weights(At("atoms")));
        Assert.Null(ShardedCheckpoint.TryProgress(UniversalManifest.Read(At("cut")), "cut"));
    }

    [Fact]
    public void Damage_and_wrong_uses_are_told()
    {
        var ranks = Saved();
        Assert.Equal(ExitCode.Usage, Assert.Throws<PerennialException>(() => CheckpointConversion.ToShape(ranks, At("same"), ParallelShape.Parse("data=2,tensor=2,zero=1"))).Code);
        Assert.False(Directory.Exists(At("same")));
        var path = Path.Combine(ranks, "rank-0001.safetensors");
        var bytes = File.ReadAllBytes(path);
        bytes[^100] ^= 4;
        File.WriteAllBytes(path, bytes);
        var error = Assert.Throws<PerennialException>(() => CheckpointConversion.ToAtoms(ranks, At("broken")));
        Assert.Equal(ExitCode.Damaged, error.Code);
        Assert.Contains("rank-0001.safetensors", error.Message, StringComparison.Ordinal);
        Assert.False(Directory.Exists(At("broken")));
    }
}
