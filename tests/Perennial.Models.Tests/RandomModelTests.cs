using CsCheck;
using Perennial.Models.HuggingFace;
using Perennial.Models.Inference;
using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Models.Tests;

public class RandomModelTests
{
    private static readonly Gen<DecoderConfig> Tiny =
        from family in Gen.Enum<ModelFamily>()
        from keyHeads in Gen.Int[1, 2]
        from shared in Gen.Int[1, 3]
        from half in Gen.Int[1, 8]
        from vocabulary in Gen.Int[3, 40]
        from layers in Gen.Int[1, 3]
        from inner in Gen.Int[1, 40]
        from tied in Gen.Bool
        from exact in Gen.Bool
        let gpt2 = family == ModelFamily.Gpt2
        let heads = keyHeads * shared
        select new DecoderConfig
        {
            Family = family, Vocabulary = vocabulary, Context = 16, Layers = layers, Intermediate = inner, Heads = heads, KeyValueHeads = gpt2 ? heads : keyHeads,
            HeadWidth = 2 * half, Width = heads * 2 * half, TiedHead = gpt2 || tied, EndOfText = 1, ExactGelu = gpt2 && exact,
        };

    [Fact]
    public void Export_import_export_is_equal_to_the_bit() => Gen.Select(Tiny, Gen.ULong).Sample((config, seed) =>
    {
        TorchRuntime.Initialize();
        using ModelFolder first = new(), second = new();
        using var model = Decoder.Fresh(config, seed);
        first.Save(model);
        using var again = ModelFolder.Load(first.Path);
        second.Save(again);
        foreach (var name in new[] { "config.json", "model.safetensors" })
            Assert.Equal(File.ReadAllBytes(first.File(name)), File.ReadAllBytes(second.File(name)));
        int[] ids = [0, 2, 1, 2, 0];
        Assert.Equal(SequenceScorer.Score(model, ids), SequenceScorer.Score(again, ids));
    }, iter: 25, threads: 1);
}
