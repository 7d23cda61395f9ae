using System.Text.Json.Nodes;
using CsCheck;
using Perennial.Core;
using Perennial.Models.HuggingFace;

namespace Perennial.Models.Tests;

public class ConfigJsonTests
{
    private static readonly Gen<DecoderConfig> Configs =
        from family in Gen.Enum<ModelFamily>()
        from keyHeads in Gen.Int[1, 4]
        from shared in Gen.Int[1, 4]
        from half in Gen.Int[1, 40]
        from sizes in Gen.Int[1, 5000].Array[4]
        from epsilon in Gen.Double[1e-9, 1e-3]
        from theta in Gen.Double[100, 1e7]
        from tied in Gen.Bool
        from end in Gen.Int[0, 100000].Nullable()
        from exact in Gen.Bool
        let gpt2 = family == ModelFamily.Gpt2
        let heads = keyHeads * shared
        select new DecoderConfig
        {
            Family = family, Vocabulary = sizes[0], Context = sizes[1], Layers = 1 + sizes[2] % 90, Intermediate = sizes[3],
            Heads = heads, KeyValueHeads = gpt2 ? heads : keyHeads, HeadWidth = 2 * half, Width = gpt2 ? heads * 2 * half : sizes[2],
            NormEpsilon = epsilon, RopeTheta = gpt2 ? 10000 : theta, TiedHead = tied, EndOfText = end, ExactGelu = gpt2 && exact,
        };

    private static DecoderConfig Read(JsonObject json)
    {
        using var folder = new ModelFolder();
        File.WriteAllText(folder.File("config.json"), json.ToJsonString());
        return ConfigJson.Read(folder.Path);
    }

    [Fact]
    public void What_is_written_is_read_back() => Configs.Sample(config => Assert.Equal(config, Read(ConfigJson.ToJson(config))), iter: 200);

    [Fact]
    public void Absent_keys_take_the_family_s_defaults()
    {
        var llama = Read(new JsonObject { ["model_type"] = "llama" });
        Assert.Equal((32000, 4096, 11008, 32, 32, 32, 128, 2048), (llama.Vocabulary, llama.Width, llama.Intermediate, llama.Layers, llama.Heads, llama.KeyValueHeads, llama.HeadWidth, llama.Context));
        Assert.Equal((1e-6, 10000.0, false), (llama.NormEpsilon, llama.RopeTheta, llama.TiedHead));
        var qwen = Read(new JsonObject { ["model_type"] = "qwen2" });
        Assert.Equal((151936, 22016, 32, 32768), (qwen.Vocabulary, qwen.Intermediate, qwen.KeyValueHeads, qwen.Context));
        var gpt2 = Read(new JsonObject { ["model_type"] = "gpt2" });
        Assert.Equal((50257, 768, 3072, 12, 1024, true, false), (gpt2.Vocabulary, gpt2.Width, gpt2.Intermediate, gpt2.Layers, gpt2.Context, gpt2.TiedHead, gpt2.ExactGelu));
    }

    [Fact]
    public void The_rotary_base_is_found_where_either_version_of_transformers_puts_it()
    {
        foreach (var json in new[]
        {
            """{"model_type": "llama", "rope_theta": 500000.0}""",
            """{"model_type": "llama", "rope_parameters": {"rope_theta": 500000, "rope_type": "default"}}""",
            """{"model_type": "llama", "rope_scaling": {"type": "default", "rope_theta": 5e5}}""",
        })
            Assert.Equal(500000, Read(JsonNode.Parse(json)!.AsObject()).RopeTheta);
    }

    [Fact]
    public void An_explicit_null_means_as_many_key_heads_as_heads() =>
        Assert.Equal(8, Read(JsonNode.Parse("""{"model_type": "qwen2", "num_attention_heads": 8, "num_key_value_heads": null}""")!.AsObject()).KeyValueHeads);

    [Fact]
    public void Keys_of_others_are_said_again_by_an_export()
    {
        var read = Read(JsonNode.Parse("""{"model_type": "llama", "bos_token_id": 128000, "eos_token_id": [128001, 128009], "pretraining_tp": 1, "torch_dtype": "bfloat16", "transformers_version": "4.40"}""")!.AsObject());
        Assert.Equal(128001, read.EndOfText);
        var written = ConfigJson.ToJson(read);
        Assert.Equal(128000, (int)written["bos_token_id"]!);
        Assert.Equal([128001, 128009], written["eos_token_id"]!.AsArray().Select(id => (int)id!));
        Assert.Equal(1, (int)written["pretraining_tp"]!);
        Assert.Equal("float32", (string?)written["torch_dtype"]);
        Assert.False(written.ContainsKey("transformers_version"));
        Assert.Equal(read, Read(written));
    }

    [Theory]
    [InlineData("""{"model_type": "mistral"}""", "model_type 'mistral'")]
    [InlineData("""{}""", "model_type ''")]
    [InlineData("""[1]""", "is not a JSON object")]
    [InlineData("""{"model_type": "llama", """, "is damaged")]
    [InlineData("""{"model_type": "llama", "model_type": "gpt2"}""", "is damaged")]
    [InlineData("""{"model_type": "llama", "hidden_act": "gelu"}""", "hidden_act: gelu")]
    [InlineData("""{"model_type": "gpt2", "activation_function": "relu"}""", "activation_function: relu")]
    [InlineData("""{"model_type": "llama", "attention_bias": true}""", "attention_bias: true")]
    [InlineData("""{"model_type": "llama", "mlp_bias": true}""", "mlp_bias: true")]
    [InlineData("""{"model_type": "llama", "attention_bias": 1}""", "'attention_bias' must be true or false")]
    [InlineData("""{"model_type": "qwen2", "use_sliding_window": true}""", "use_sliding_window: true")]
    [InlineData("""{"model_type": "qwen2", "layer_types": ["full_attention", "sliding_attention"]}""", "layer_types: sliding_attention")]
    [InlineData("""{"model_type": "llama", "rope_scaling": {"rope_type": "llama3", "factor": 8}}""", "rope_scaling.rope_type: llama3")]
    [InlineData("""{"model_type": "llama", "rope_scaling": {"type": "linear", "factor": 2}}""", "rope_scaling.rope_type: linear")]
    [InlineData("""{"model_type": "llama", "rope_parameters": "yarn"}""", "'rope_parameters' must be an object")]
    [InlineData("""{"model_type": "llama", "partial_rotary_factor": 0.5}""", "partial_rotary_factor")]
    [InlineData("""{"model_type": "llama", "quantization_config": {"bits": 4}}""", "quantization_config")]
    [InlineData("""{"model_type": "llama", "hidden_size": "4096"}""", "'hidden_size' must be a number")]
    [InlineData("""{"model_type": "llama", "hidden_size": 1e300}""", "hidden_size")]
    [InlineData("""{"model_type": "llama", "hidden_size": 100}""", "32 heads do not divide width 100")]
    [InlineData("""{"model_type": "llama", "num_key_value_heads": 5}""", "5 key-value heads")]
    [InlineData("""{"model_type": "llama", "head_dim": 33}""", "odd")]
    [InlineData("""{"model_type": "llama", "rms_norm_eps": -1}""", "rms_norm_eps")]
    [InlineData("""{"model_type": "llama", "eos_token_id": "x"}""", "eos_token_id")]
    [InlineData("""{"model_type": "gpt2", "scale_attn_weights": false}""", "scale_attn_weights: false")]
    [InlineData("""{"model_type": "gpt2", "scale_attn_by_inverse_layer_idx": true}""", "scale_attn_by_inverse_layer_idx: true")]
    public void What_is_not_honoured_is_refused_in_one_line(string json, string expected)
    {
        using var folder = new ModelFolder();
        File.WriteAllText(folder.File("config.json"), json);
        var thrown = Assert.Throws<PerennialException>(() => ConfigJson.Read(folder.Path));
        Assert.Equal(ExitCode.Damaged, thrown.Code);
        Assert.Contains("config.json: ", thrown.Message, StringComparison.Ordinal);
        Assert.Contains(expected, thrown.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', thrown.Message);
    }
}
