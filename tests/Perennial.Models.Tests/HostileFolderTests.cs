using System.Text.Json.Nodes;
using Perennial.Core;
using Perennial.Core.Safetensors;
using Perennial.Models.HuggingFace;

namespace Perennial.Models.Tests;

public class HostileFolderTests
{
    private static void Refused(ModelFolder folder, string expected)
    {
        var thrown = Assert.Throws<PerennialException>(() => ModelFolder.Load(folder.Path).Dispose());
        Assert.Equal(ExitCode.Damaged, thrown.Code);
        Assert.Contains(expected, thrown.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', thrown.Message);
    }

    private static void Rewrite(string path, Func<SafetensorsTensor, IEnumerable<SafetensorsTensor>> change)
    {
        List<SafetensorsTensor> tensors;
        using (var file = SafetensorsFile.Open(path))
            tensors = [.. file.Entries.Select(entry => SafetensorsTensor.Of(entry.Name, entry.Type, entry.Shape, file.Bytes(entry).ToArray()))];
        SafetensorsWriter.Write(path, tensors.SelectMany(change));
    }

    [Fact]
    public void No_weights_at_all()
    {
        using var folder = ModelFolder.CopyOf("gpt2-repeated-head");
        File.Delete(folder.File("model.safetensors"));
        Refused(folder, "holds neither model.safetensors nor model.safetensors.index.json");
        File.WriteAllText(folder.File("pytorch_model.bin"), "pickle");
        Refused(folder, "save pytorch_model.bin as safetensors first");
    }

    [Fact]
    public void A_missing_shard()
    {
        using var folder = ModelFolder.CopyOf("llama-long");
        File.Delete(folder.File("model-00002-of-00003.safetensors"));
        Refused(folder, "shard model-00002-of-00003.safetensors is missing");
    }

    [Theory]
    [InlineData("{", "is damaged")]
    [InlineData("{}", "has no 'weight_map'")]
    [InlineData("""{"weight_map": {"a": 3}}""", "is damaged")]
    [InlineData("""{"weight_map": {"a": "../../etc/passwd"}}""", "is not a file of this folder")]
    [InlineData("""{"weight_map": {"a": "model-00001-of-00003.safetensors"}}""", "lacks tensor 'a'")]
    public void A_damaged_index(string index, string expected)
    {
        using var folder = ModelFolder.CopyOf("llama-long");
        File.WriteAllText(folder.File(WeightSources.IndexName), index);
        Refused(folder, expected);
    }

    [Fact]
    public void A_shard_that_the_index_forgets_leaves_tensors_missing()
    {
        using var folder = ModelFolder.CopyOf("llama-long");
        var index = JsonNode.Parse(File.ReadAllBytes(folder.File(WeightSources.IndexName)))!;
        var map = index["weight_map"]!.AsObject();
        foreach (var name in map.Where(pair => (string?)pair.Value == "model-00003-of-00003.safetensors").Select(pair => pair.Key).ToList()) map.Remove(name);
        File.WriteAllText(folder.File(WeightSources.IndexName), index.ToJsonString());
        Refused(folder, "lack");
    }

    [Fact]
    public void Missing_surplus_misshapen_doubled_and_integer_tensors()
    {
        const string norm = "transformer.ln_f.bias";
        foreach (var (change, expected) in new (Func<SafetensorsTensor, IEnumerable<SafetensorsTensor>>, string)[]
        {
            (tensor => tensor.Name == norm ? [] : [tensor], norm),
            (tensor => tensor.Name == norm ? [tensor, Zeros("score.weight", SafetensorsType.F32, 2)] : [tensor], "'score.weight' has no place"),
            (tensor => tensor.Name == norm ? [Zeros(norm, SafetensorsType.F32, 33)] : [tensor], $"'{norm}' has shape [33], the model needs [32]"),
            (tensor => tensor.Name == norm ? [tensor, Zeros("ln_f.bias", SafetensorsType.F32, 32)] : [tensor], "a second time"),
            (tensor => tensor.Name == norm ? [Zeros(norm, SafetensorsType.I8, 32)] : [tensor], $"'{norm}' is I8"),
            (tensor => tensor.Name == "lm_head.weight" ? [Zeros("lm_head.weight", SafetensorsType.F32, 97, 32)] : [tensor], "differs from the embedding"),
        })
        {
            using var folder = ModelFolder.CopyOf("gpt2-repeated-head");
            Rewrite(folder.File("model.safetensors"), change);
            Refused(folder, expected);
        }

        static SafetensorsTensor Zeros(string name, SafetensorsType type, params long[] shape) => SafetensorsTensor.Of(name, type, shape, new byte[shape.Aggregate(1L, (a, b) => a * b) * type.Size()]);
    }

    [Theory]
    [InlineData("num_hidden_layers", 16_000_000)]
    [InlineData("hidden_size", 16_000_000)]
    [InlineData("vocab_size", 16_000_000)]
    public void A_config_that_asks_for_a_gigantic_model_takes_no_memory(string key, int value)
    {
        using var folder = ModelFolder.CopyOf("llama-head-dim");
        folder.EditConfig(json => json[key] = value);
        Refused(folder, "the weights lack");
    }

    [Fact]
    public void A_head_that_config_unties_must_be_there()
    {
        using var folder = ModelFolder.CopyOf("llama-long");
        folder.EditConfig(json => json["tie_word_embeddings"] = false);
        Refused(folder, "lack");
    }

    [Fact]
    public void Truncated_weights()
    {
        using var folder = ModelFolder.CopyOf("llama-head-dim");
        using (var file = File.OpenWrite(folder.File("model.safetensors"))) file.SetLength(file.Length - 5);
        Refused(folder, "model.safetensors");
    }
}
