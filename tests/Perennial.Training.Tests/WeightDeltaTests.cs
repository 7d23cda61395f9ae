using Perennial.Core;
using Perennial.Data.Tokenizers;
using Perennial.Models;
using Perennial.Models.HuggingFace;
using Perennial.Tensors;
using Perennial.Training.Checkpoints;
using TorchSharp;
using static TorchSharp.torch;

namespace Perennial.Training.Tests;

public sealed class WeightDeltaTests : IDisposable
{
    private readonly string place = Directory.CreateTempSubdirectory("perennial-delta-").FullName;

    public WeightDeltaTests() => TorchRuntime.EnsureLoaded();

    public void Dispose() => Directory.Delete(place, recursive: true);

    [Theory]
    [InlineData(true, 0)]
    [InlineData(false, 3)]
    public void A_residual_on_its_own_base_is_the_tuned_model_bit_for_bit_and_back(bool tied, int grown)
    {
        var (basis, tuned) = (Folder("base", 300, tied, 1, 1), Folder("tuned", 300, tied, 2, 3, grown: grown));
        var tensors = WeightDelta.Create(basis, tuned, At("residual"));
        Assert.Contains(tensors, tensor => tensor.Corrections > 0);
        var applied = WeightDelta.Apply(basis, At("residual"), At("sum"));
        Assert.True(applied.IsOwnBase);
        Assert.Equal(grown, applied.GrownRows);
        Assert.Equal(File.ReadAllBytes(Path.Combine(tuned, "model.safetensors")), File.ReadAllBytes(Path.Combine(At("sum"), "model.safetensors")));
        if (grown > 0) return;
        // The way back is the residual taken the other way.
        WeightDelta.Create(tuned, basis, At("back"));
        WeightDelta.Apply(At("sum"), At("back"), At("again"));
        Assert.Equal(File.ReadAllBytes(Path.Combine(basis, "model.safetensors")), File.ReadAllBytes(Path.Combine(At("again"), "model.safetensors")));
    }

    [Fact]
    public void On_another_base_it_adds_its_scaled_difference()
    {
        var (basis, tuned, other) = (Folder("base", 300, false, 1, 1), Folder("tuned", 300, false, 2, 1), Folder("other", 300, false, 3, 1));
        WeightDelta.Create(basis, tuned, At("residual"));
        Assert.False(WeightDelta.Apply(other, At("residual"), At("sum"), 0.5).IsOwnBase);
        using var scope = NewDisposeScope();
        var expected = Values(other) + 0.5 * (Values(tuned) - Values(basis));
        Assert.True((Values(At("sum")) - expected).abs().max().item<float>() < 1e-6);
    }

    [Fact]
    public void Other_architectures_and_tokenizers_are_refused_and_damage_is_told()
    {
        var (basis, tuned) = (Folder("base", 300, false, 1, 1), Folder("tuned", 300, false, 2, 1));
        Assert.Equal(ExitCode.Usage, Refusal(() => WeightDelta.Create(basis, Folder("tied", 300, true, 2, 1), At("a"))));
        Assert.Equal(ExitCode.Usage, Refusal(() => WeightDelta.Create(basis, Folder("words", 300, false, 2, 1, "other words entirely here zzz qqq"), At("b"))));
        Assert.Equal(ExitCode.Usage, Refusal(() => WeightDelta.Create(tuned, Folder("fewer", 290, false, 2, 1), At("c"))));
        Assert.Equal(ExitCode.Usage, Refusal(() => WeightDelta.Apply(basis, tuned, At("d"))));
        WeightDelta.Create(basis, tuned, At("residual"));
        Assert.Equal(ExitCode.Usage, Refusal(() => WeightDelta.Apply(basis, At("residual"), At("residual"))));
        File.WriteAllText(Path.Combine(At("residual"), "delta.json"), "{");
        Assert.Equal(ExitCode.Damaged, Refusal(() => WeightDelta.Apply(basis, At("residual"), At("e"))));
        Assert.False(Directory.Exists(At("e")));
    }

    private static ExitCode Refusal(Action action) => Assert.Throws<PerennialException>(action).Code;

    private string At(string name) => Path.Combine(place, name);

    private Tensor Values(string folder)
    {
        var config = ConfigJson.Read(folder);
        var layout = DecoderLayout.Of(config);
        var values = zeros(layout.Length);
        WeightFiles.Read(folder, config, layout, values);
        return values;
    }

    private string Folder(string name, int vocabulary, bool tied, ulong seed, double scale, string text = "the quick brown fox jumps over the lazy dog and so on and on", int grown = 0)
    {
        var folder = Directory.CreateDirectory(At(name)).FullName;
        var trainer = new BpeTrainer();
        trainer.Count([System.Text.Encoding.UTF8.GetBytes(string.Concat(Enumerable.Range(0, 40).Select(i => $"{text} number {i * 7919}. ")))]);
        var tokenizer = trainer.Train(vocabulary);
        var config = new DecoderConfig
        {
            Family = ModelFamily.Llama, Vocabulary = tokenizer.VocabularySize + grown, Context = 32, Width = 16, Layers = 1, Heads = 2, KeyValueHeads = 2, HeadWidth = 8, Intermediate = 32,
            EndOfText = tokenizer.EndOfText, TiedHead = tied,
        };
        using var model = Decoder.Fresh(config, seed);
        using (no_grad()) model.Parameters.Values.mul_(scale);
        ConfigJson.Write(config, folder);
        WeightFiles.Write(model.Parameters.Layout, model.Parameters.Values, folder);
        tokenizer.Save(folder);
        if (grown == 0) return folder;
        // As chat models add their markers: new tokens after all others.
        var path = Path.Combine(folder, "tokenizer.json");
        var json = System.Text.Json.Nodes.JsonNode.Parse(File.ReadAllText(path))!;
        var added = json["added_tokens"]!.AsArray();
        for (var i = 0; i < grown; i++)
        {
            var marker = added[0]!.DeepClone();
            (marker["id"], marker["content"]) = (tokenizer.VocabularySize + i, $"<|marker-{i}|>");
            added.Add(marker);
        }
        File.WriteAllText(path, json.ToJsonString());
        return folder;
    }
}
