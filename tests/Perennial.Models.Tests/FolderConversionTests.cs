using Perennial.Core;
using Perennial.Core.Safetensors;
using Perennial.Models.HuggingFace;
using static TorchSharp.torch;

namespace Perennial.Models.Tests;

public class FolderConversionTests
{
    [Fact]
    public void Shards_and_back_are_the_same_model()
    {
        using var folder = new ModelFolder();
        var (one, shards, again) = (folder.File("one"), folder.File("shards"), folder.File("again"));
        Assert.Single(FolderConversion.Convert(ModelFolder.Fixture("llama-long"), one, new ConversionOptions()));
        Assert.True(FolderConversion.Convert(one, shards, new ConversionOptions { ShardBytes = 30_000 }).Count > 3);
        FolderConversion.Convert(shards, again, new ConversionOptions());
        using var first = ModelFolder.Load(ModelFolder.Fixture("llama-long"));
        foreach (var path in new[] { one, shards, again })
        {
            using var model = ModelFolder.Load(path);
            Assert.Equal(first.Config, model.Config);
            Assert.True(first.Parameters.Values.eq(model.Parameters.Values).all().item<bool>());
        }
        Assert.Equal(File.ReadAllBytes(ModelFolder.Fixture("llama-long") + "/reference.json"), File.ReadAllBytes(Path.Combine(again, "reference.json")));
    }

    [Theory]
    [InlineData(SafetensorsType.BF16, "bfloat16", ScalarType.BFloat16)]
    [InlineData(SafetensorsType.F16, "float16", ScalarType.Float16)]
    public void Half_types_round_as_libtorch_does(SafetensorsType type, string name, ScalarType native)
    {
        using var folder = new ModelFolder();
        var target = folder.File("half");
        FolderConversion.Convert(ModelFolder.Fixture("llama-head-dim"), target, new ConversionOptions { Type = type });
        using var scope = NewDisposeScope();
        using var full = ModelFolder.Load(ModelFolder.Fixture("llama-head-dim"));
        using var half = ModelFolder.Load(target);
        Assert.True(full.Parameters.Values.to_type(native).to_type(ScalarType.Float32).eq(half.Parameters.Values).all().item<bool>());
        Assert.Contains($"\"torch_dtype\": \"{name}\"", File.ReadAllText(Path.Combine(target, "config.json")), StringComparison.Ordinal);
    }

    [Fact]
    public void Every_bfloat16_and_half_survives_float32()
    {
        var bits = Enumerable.Range(0, 65536).SelectMany(value => BitConverter.GetBytes((ushort)value)).ToArray();
        foreach (var type in new[] { SafetensorsType.BF16, SafetensorsType.F16 })
        {
            byte[] floats = new byte[4 * 65536], back = new byte[2 * 65536];
            Assert.Equal(0, FloatConversion.Convert(bits, type, floats, SafetensorsType.F32));
            Assert.Equal(0, FloatConversion.Convert(floats, SafetensorsType.F32, back, type));
            for (var i = 0; i < 65536; i++)
            {
                if (float.IsNaN(BitConverter.ToSingle(floats, 4 * i))) continue; // a payload may become quiet
                Assert.Equal(BitConverter.ToUInt16(bits, 2 * i), BitConverter.ToUInt16(back, 2 * i));
            }
        }
    }

    [Fact]
    public void What_float16_cannot_hold_is_refused_and_nothing_is_left()
    {
        using var folder = ModelFolder.CopyOf("llama-head-dim");
        using (var model = ModelFolder.Load(folder.Path))
        {
            using var element = model.Parameters.Values.narrow(0, 7, 1);
            element.fill_(70000f);
            folder.Save(model);
        }
        var target = folder.File("half");
        var thrown = Assert.Throws<PerennialException>(() => FolderConversion.Convert(folder.Path, target, new ConversionOptions { Type = SafetensorsType.F16 }));
        Assert.Equal(ExitCode.Damaged, thrown.Code);
        Assert.Contains("beyond the range of F16", thrown.Message, StringComparison.Ordinal);
        Assert.Empty(Directory.GetDirectories(folder.Path));
        FolderConversion.Convert(folder.Path, target, new ConversionOptions { Type = SafetensorsType.BF16 });
        Assert.Equal(ExitCode.Usage, Assert.Throws<PerennialException>(() => FolderConversion.Convert(folder.Path, target, new ConversionOptions())).Code);
    }
}
