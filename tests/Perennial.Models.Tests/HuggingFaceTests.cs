using System.Runtime.CompilerServices;
using System.Text.Json;
using Perennial.Core;
using Perennial.Models.HuggingFace;
using Perennial.Models.Inference;
using Perennial.Tensors;

namespace Perennial.Models.Tests;

/// <summary>Folders and reference values made by Fixtures/make_fixtures.py, which shares nothing with this code.</summary>
public class HuggingFaceTests
{
    private static readonly string Fixtures = Path.Combine(Here(), "Fixtures");

    public static TheoryData<string> Folders => [.. Directory.GetDirectories(Fixtures).Select(folder => Path.GetFileName(folder)!).Order(StringComparer.Ordinal)];

    private static string Here([CallerFilePath] string path = "") => Path.GetDirectoryName(path)!;

    private static Decoder Load(string folder)
    {
        TorchRuntime.Initialize();
        var model = new Decoder(ConfigJson.Read(folder));
        WeightFiles.Read(folder, model.Config, model.Parameters.Layout, model.Parameters.Values);
        model.ParametersChanged();
        return model;
    }

    private static (int[] Ids, double?[] Expected) Reference(string folder)
    {
        using var json = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(folder, "reference.json")));
        return ([.. json.RootElement.GetProperty("ids").EnumerateArray().Select(id => id.GetInt32())],
            [.. json.RootElement.GetProperty("log_probabilities").EnumerateArray().Select(value => value.ValueKind == JsonValueKind.Null ? (double?)null : value.GetDouble())]);
    }

    [Theory]
    [MemberData(nameof(Folders))]
    public void Log_probabilities_agree_with_the_independent_reference(string name)
    {
        using var model = Load(Path.Combine(Fixtures, name));
        var (ids, expected) = Reference(Path.Combine(Fixtures, name));
        var scores = SequenceScorer.Score(model, ids);
        Assert.True(float.IsNaN(scores[0]));
        for (var i = 1; i < ids.Length; i++) Assert.Equal(expected[i]!.Value, scores[i], 1e-4);
    }

    [Theory]
    [MemberData(nameof(Folders))]
    public void Export_and_import_are_equal_to_the_bit(string name)
    {
        using var model = Load(Path.Combine(Fixtures, name));
        var folder = Directory.CreateTempSubdirectory("perennial-models-").FullName;
        try
        {
            WeightFiles.Write(model.Parameters.Layout, model.Parameters.Values, folder);
            ConfigJson.Write(model.Config, folder);
            using var again = Load(folder);
            Assert.Equal(model.Config, again.Config);
            Assert.True(TensorMemory.Span<float>(model.Parameters.Values).SequenceEqual(TensorMemory.Span<float>(again.Parameters.Values)));
            var first = File.ReadAllBytes(Path.Combine(folder, WeightFiles.FileName));
            WeightFiles.Write(again.Parameters.Layout, again.Parameters.Values, folder);
            Assert.Equal(first, File.ReadAllBytes(Path.Combine(folder, WeightFiles.FileName)));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Theory]
    [MemberData(nameof(Folders))]
    public void The_cache_gives_what_a_full_pass_gives(string name)
    {
        using var model = Load(Path.Combine(Fixtures, name));
        var (ids, expected) = Reference(Path.Combine(Fixtures, name));
        using var decoder = new IncrementalDecoder(model);
        var logits = decoder.Feed(ids[..5]);
        for (var i = 5; i < ids.Length; i++)
        {
            var highest = logits.Max();
            var total = logits.Sum(value => Math.Exp(value - highest));
            Assert.Equal(expected[i]!.Value, logits[ids[i]] - highest - Math.Log(total), 1e-4);
            logits = decoder.Feed([ids[i]]);
        }
    }

    [Fact]
    public void Generation_depends_on_the_seed_alone_and_may_outrun_the_context()
    {
        using var model = Load(Path.Combine(Fixtures, "llama"));
        int[] Write(ulong seed) => [.. Generator.Generate(model, [1, 2, 3], new GenerationOptions { Tokens = 150, Seed = seed, TopK = 50, TopP = 0.9 })];
        Assert.Equal(150, Write(1).Length);
        Assert.Equal(Write(1), Write(1));
        Assert.NotEqual(Write(1), Write(2));
    }

    [Theory]
    [InlineData("\"hidden_act\": \"silu\"", "\"hidden_act\": \"gelu\"", "hidden_act: gelu")]
    [InlineData("\"model_type\": \"llama\"", "\"model_type\": \"mamba\"", "model_type 'mamba'")]
    [InlineData("\"num_key_value_heads\": 1", "\"num_key_value_heads\": 2", "has shape")]
    [InlineData("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3", "lack")]
    [InlineData("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1", "has no place")]
    [InlineData("\"rope_theta\": 500000.0", "\"rope_scaling\": {\"rope_type\": \"yarn\"}", "rope_type: yarn")]
    [InlineData("\"hidden_size\": 32", "\"hidden_size\": -3", "hidden_size")]
    public void What_is_not_honoured_is_refused_by_name(string from, string to, string expected)
    {
        var folder = Directory.CreateTempSubdirectory("perennial-models-").FullName;
        try
        {
            foreach (var file in Directory.GetFiles(Path.Combine(Fixtures, "llama"))) File.Copy(file, Path.Combine(folder, Path.GetFileName(file)));
            var config = Path.Combine(folder, "config.json");
            File.WriteAllText(config, File.ReadAllText(config).Replace(from, to, StringComparison.Ordinal));
            var thrown = Assert.Throws<PerennialException>(() => Load(folder).Dispose());
            Assert.Equal(ExitCode.Damaged, thrown.Code);
            Assert.Contains(expected, thrown.Message, StringComparison.Ordinal);
            Assert.DoesNotContain('\n', thrown.Message);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
