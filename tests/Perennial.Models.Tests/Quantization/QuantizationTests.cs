using Perennial.Core;
using Perennial.Core.Safetensors;
using Perennial.Models.HuggingFace;
using Perennial.Models.Inference;
using Perennial.Models.Quantization;
using Perennial.Tensors;
using static TorchSharp.torch;
using Generator = TorchSharp.torch.Generator;

namespace Perennial.Models.Tests.Quantization;

public sealed class QuantizationTests : IDisposable
{
    private readonly string place = Directory.CreateTempSubdirectory("perennial-quantized-").FullName;

    public QuantizationTests() => TorchRuntime.Initialize();

    public void Dispose() => Directory.Delete(place, recursive: true);

    private string Folder(string name) => Path.Combine(place, name);

    private DecoderConfig Model(ModelFamily family)
    {
        var config = new DecoderConfig
        {
            Family = family, Vocabulary = 67, Context = 16, Width = 64, Layers = 2, Heads = 4, HeadWidth = 16,
            KeyValueHeads = family == ModelFamily.Gpt2 ? 4 : 2, Intermediate = 88, TiedHead = family == ModelFamily.Gpt2, InitializerRange = 0.1,
        };
        using var model = Decoder.Fresh(config, 3);
        Directory.CreateDirectory(Folder("plain"));
        ConfigJson.Write(config, Folder("plain"));
        WeightFiles.Write(model.Parameters.Layout, model.Parameters.Values, Folder("plain"));
        return config;
    }

    private static float[] Score(string folder)
    {
        var config = ConfigJson.Read(folder);
        using var model = new Decoder(config);
        WeightFiles.Check(folder, config);
        WeightFiles.Read(folder, config, model.Parameters.Layout, model.Parameters.Values);
        model.ParametersChanged();
        return SequenceScorer.Score(model, [.. Enumerable.Range(0, 40).Select(i => i * 7 % 67)]);
    }

    [Theory]
    [InlineData(ModelFamily.Llama, 4, 32, false)]
    [InlineData(ModelFamily.Llama, 4, 128, true)]
    [InlineData(ModelFamily.Qwen2, 8, 0, false)]
    [InlineData(ModelFamily.Gpt2, 4, 32, false)]
    public void A_quantized_folder_scores_exactly_as_its_dequantized_copy_and_has_the_computed_size(ModelFamily family, int bits, int group, bool search)
    {
        Model(family);
        var report = FolderQuantization.Quantize(Folder("plain"), Folder("quantized"), new QuantizationScheme(bits, group), search);
        Assert.Equal(report.Computed, report.After);
        using (var file = SafetensorsFile.Open(Path.Combine(Folder("quantized"), "model.safetensors")))
            Assert.Equal(report.Computed, file.Entries.Sum(entry => entry.ByteLength));
        Assert.InRange(report.RelativeError, 1e-4, bits == 4 ? 0.2 : 0.02);
        FolderConversion.Convert(Folder("quantized"), Folder("float32"), new ConversionOptions { Type = SafetensorsType.F32 });
        Assert.Null(QuantizationScheme.Read(Folder("float32")));
        var (packed, dense, plain) = (Score(Folder("quantized")), Score(Folder("float32")), Score(Folder("plain")));
        Assert.Equal(dense, packed);
        Assert.NotEqual(plain.Skip(1), packed.Skip(1));
        // Packed in shards, it is still the same model.
        FolderConversion.Convert(Folder("quantized"), Folder("sharded"), new ConversionOptions { ShardBytes = 20_000 });
        Assert.Equal(dense, Score(Folder("sharded")));
        Assert.Equal(ExitCode.Usage, Assert.Throws<PerennialException>(() => FolderQuantization.Quantize(Folder("quantized"), Folder("twice"), new(4, 32), false)).Code);
    }

    [Fact]
    public void Rounding_is_to_the_nearest_multiple_of_the_scale()
    {
        var scheme = new QuantizationScheme(4, 8);
        var random = new Random(3);
        for (var round = 0; round < 50; round++)
        {
            var group = Enumerable.Range(0, 8).Select(_ => (float)(random.NextDouble() * 2 - 1)).ToArray();
            var codes = new sbyte[8];
            var scale = RoundToNearest.Group(group, scheme, false, codes);
            Assert.Equal(group.Max(Math.Abs) / 7, scale, 1e-7f);
            for (var i = 0; i < 8; i++) Assert.True(Math.Abs(codes[i] * scale - group[i]) <= scale / 2 * 1.00001f);
            var searched = RoundToNearest.Group(group, scheme, true, codes);
            double Error(float s) => group.Sum(weight => Math.Pow(Math.Abs(Math.Clamp(MathF.Round(weight / s), -8, 7) * s - weight), 2.4));
            Assert.True(Error(searched) <= Error(scale));
        }
        Assert.Equal(0, RoundToNearest.Group(new float[8], scheme, true, new sbyte[8]));
    }

    [Fact]
    public void Activations_follow_the_asymmetric_formula_token_by_token()
    {
        using var scope = NewDisposeScope();
        var x = randn(3, 5, 16, generator: new Generator(2));
        var rounded = RoundToNearest.Activations(x, 4);
        for (var token = 0; token < 15; token++)
        {
            var (from, to) = (x.reshape(15, 16)[token].data<float>().ToArray(), rounded.reshape(15, 16)[token].data<float>().ToArray());
            var (low, high) = (Math.Min(0, from.Min()), Math.Max(0, from.Max()));
            var s = (high - low) / 15;
            for (var i = 0; i < 16; i++) Assert.Equal((Math.Clamp(Math.Round(from[i] / s) + Math.Round(-low / s), 0, 15) - Math.Round(-low / s)) * s, to[i], 1e-5);
        }
        Assert.Same(x, RoundToNearest.Activations(x, 16));
        // One channel of 60 σ takes the others' energy away: what the description's figure says (0.89).
        var wide = randn(64, 512, generator: new Generator(5));
        Assert.InRange(Lost(wide, RoundToNearest.Activations(wide, 4)), 0.010, 0.018);
        wide.narrow(1, 7, 1).fill_(60);
        Assert.InRange(Lost(wide.narrow(1, 8, 504), RoundToNearest.Activations(wide, 4).narrow(1, 8, 504)), 0.7, 1.0);
    }

    private static double Lost(Tensor x, Tensor rounded) => ((rounded - x).square().sum() / x.square().sum()).item<float>();

    [Fact]
    public void The_probe_gives_the_published_figures()
    {
        using var scope = NewDisposeScope();
        var gauss = randn(4, 200, 512, generator: new Generator(1));
        double Kurtosis(Tensor x)
        {
            var probe = new OutlierProbe();
            probe.Stream(x, 0);
            return probe.Mean;
        }
        Assert.InRange(Kurtosis(gauss), 0.06, 0.10);
        var ten = gauss.clone();
        ten.narrow(2, 3, 1).mul_(10);
        Assert.InRange(Kurtosis(ten), 14, 60);
        var constant = gauss.clone();
        constant.narrow(2, 3, 1).fill_(300);
        Assert.InRange(Kurtosis(constant), 495, 509);
    }

    [Fact]
    public void Amplifying_and_rotating_keep_the_function()
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var config = Model(ModelFamily.Llama);
        using var model = Decoder.Fresh(config, 3);
        using var before = PlainCopy.Of(model);
        using var after = PlainCopy.Of(model);
        foreach (var norm in after.Layout.Entries.Where(entry => !entry.Decays)) foreach (var each in new[] { before, after }) each.Value(norm.Name).uniform_(0.5, 2, generator: new Generator(4));
        var input = new ModelInput(randint(0, 67, [2, 16], dtype: ScalarType.Int64, generator: new Generator(5)), null);
        StreamTransforms.Amplify(after, config, 5, 50);
        Near(1e-4);
        StreamTransforms.Rotate(after, config, 9);
        Near(1e-4);

        void Near(double tolerance)
        {
            using var one = new PlainDecoder(config, Precision.Float32, before);
            using var other = new PlainDecoder(config, Precision.Float32, after);
            var (a, b) = (one.Hidden(input).matmul(one.HeadWeight().t()), other.Hidden(input).matmul(other.HeadWeight().t()));
            Assert.True((a - b).abs().max().item<float>() < tolerance * a.abs().max().item<float>());
        }
    }

    [Fact]
    public void Impossible_schemes_and_damaged_folders_are_refused()
    {
        Model(ModelFamily.Llama);
        Assert.Equal(ExitCode.Usage, Assert.Throws<PerennialException>(() => FolderQuantization.Quantize(Folder("plain"), Folder("q"), new(3, 32), false)).Code);
        Assert.Equal(ExitCode.Usage, Assert.Throws<PerennialException>(() => FolderQuantization.Quantize(Folder("plain"), Folder("q"), new(4, 30), false)).Code);
        FolderQuantization.Quantize(Folder("plain"), Folder("q"), new(4, 32), false);
        // The config says another group than the file has scales for.
        var config = Path.Combine(Folder("q"), "config.json");
        File.WriteAllText(config, File.ReadAllText(config).Replace("\"group_size\": 32", "\"group_size\": 16", StringComparison.Ordinal));
        Assert.Equal(ExitCode.Damaged, Assert.Throws<PerennialException>(() => Score(Folder("q"))).Code);
        File.WriteAllText(config, File.ReadAllText(config).Replace("pack-quantized", "marlin", StringComparison.Ordinal));
        Assert.Contains("quantization_config", Assert.Throws<PerennialException>(() => ConfigJson.Read(Folder("q"))).Message, StringComparison.Ordinal);
    }
}
