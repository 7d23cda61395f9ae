namespace Perennial.Resilience.Layouts;

/// <summary>What the rules of a decoder must know about it.</summary>
/// <param name="Heads">Query heads.</param>
/// <param name="KeyValueHeads">Key and value heads; divides the query heads.</param>
/// <param name="HeadWidth">Elements of a head.</param>
/// <param name="Intermediate">Inner width of the feed-forward part (for fused matrices).</param>
/// <param name="Tied">Whether the unembedding is the embedding.</param>
/// <param name="VocabularyMultiple">Each tensor rank's rows of the vocabulary are padded to a multiple of this.</param>
/// <param name="IntermediateUnit">Columns of the feed-forward part that stay together (what a kernel works on at once).</param>
public sealed record DecoderDimensions(int Heads, int KeyValueHeads, int HeadWidth, int Intermediate, bool Tied, long VocabularyMultiple = 1, long IntermediateUnit = 1);

/// <summary>
/// Tensor-parallel rules of decoders under their Hugging Face names. Query heads are cut by groups that share a key-value head;
/// with more ranks than key-value heads the groups are cut at heads, and neighbours share the key-value head.
/// </summary>
public static class DecoderRules
{
    /// <summary>Llama: separate q, k, v, gate, up.</summary>
    public static RuleTable Llama(DecoderDimensions model) => new([.. LlamaBlock(model), .. LlamaEnds(model)]);

    /// <summary>Qwen2: Llama with biases of q, k, v.</summary>
    public static RuleTable Qwen2(DecoderDimensions model)
    {
        var (queries, keys) = Attention(model);
        return new([.. LlamaBlock(model), .. LlamaEnds(model),
            new(Layer("self_attn.q_proj.bias"), Cut(0, queries)), new(Layer("self_attn.k_proj.bias"), Cut(0, keys)), new(Layer("self_attn.v_proj.bias"), Cut(0, keys))]);
    }

    /// <summary>Llama with fused matrices: <c>self_attn.qkv_proj</c> with rows q | k | v, <c>mlp.gate_up_proj</c> with rows gate | up.</summary>
    /// <param name="model">Its dimensions.</param>
    /// <param name="byGroup">Whether a rank orders the rows of its q | k | v by group of heads (older GPT checkpoints).</param>
    public static RuleTable Fused(DecoderDimensions model, bool byGroup = false)
    {
        ArgumentNullException.ThrowIfNull(model);
        var (queries, keys) = Attention(model);
        var (queryRows, keyRows) = Rows(model);
        return new([
            new(Layer("self_attn.qkv_proj.weight"), new ShardParts(0, [queries with { Size = queryRows }, keys with { Size = keyRows }, keys with { Size = keyRows }], byGroup)),
            new(Layer("self_attn.o_proj.weight"), Cut(1, queries)),
            new(Layer("mlp.gate_up_proj.weight"), new ShardParts(0, [new(model.Intermediate, model.IntermediateUnit), new(model.Intermediate, model.IntermediateUnit)])),
            new(Layer("mlp.down_proj.weight"), new ShardDimension(1, model.IntermediateUnit)),
            new(Layer("input_layernorm.weight"), new Replicate()), new(Layer("post_attention_layernorm.weight"), new Replicate()),
            .. LlamaEnds(model)]);
    }

    /// <summary>GPT-2: Conv1D matrices <c>[in, out]</c>, fused q | k | v columns, biases, learned positions, tied head.</summary>
    public static RuleTable Gpt2(DecoderDimensions model)
    {
        ArgumentNullException.ThrowIfNull(model);
        var (queries, keys) = Attention(model);
        var (queryRows, keyRows) = Rows(model);
        ShardPart[] fused = [queries with { Size = queryRows }, keys with { Size = keyRows }, keys with { Size = keyRows }];
        static string Block(string name) => "transformer.h.{layer}." + name;
        var replicated = new[] { "ln_1.weight", "ln_1.bias", "ln_2.weight", "ln_2.bias", "attn.c_proj.bias", "mlp.c_proj.bias" };
        return new([
            new("transformer.wte.weight", new ShardVocabulary(model.VocabularyMultiple), StageRule.Tied),
            new("transformer.wpe.weight", new Replicate(), StageRule.First),
            new(Block("attn.c_attn.weight"), new ShardParts(1, fused)), new(Block("attn.c_attn.bias"), new ShardParts(0, fused)),
            new(Block("attn.c_proj.weight"), Cut(0, queries)),
            new(Block("mlp.c_fc.weight"), new ShardDimension(1, model.IntermediateUnit)), new(Block("mlp.c_fc.bias"), new ShardDimension(0, model.IntermediateUnit)),
            new(Block("mlp.c_proj.weight"), new ShardDimension(0, model.IntermediateUnit)),
            .. replicated.Select(name => new TensorRule(Block(name), new Replicate())),
            new("transformer.ln_f.weight", new Replicate(), StageRule.Last), new("transformer.ln_f.bias", new Replicate(), StageRule.Last)]);
    }

    private static IEnumerable<TensorRule> LlamaBlock(DecoderDimensions model)
    {
        ArgumentNullException.ThrowIfNull(model);
        var (queries, keys) = Attention(model);
        return [
            new(Layer("self_attn.q_proj.weight"), Cut(0, queries)),
            new(Layer("self_attn.k_proj.weight"), Cut(0, keys)),
            new(Layer("self_attn.v_proj.weight"), Cut(0, keys)),
            new(Layer("self_attn.o_proj.weight"), Cut(1, queries)),
            new(Layer("mlp.gate_proj.weight"), new ShardDimension(0, model.IntermediateUnit)), new(Layer("mlp.up_proj.weight"), new ShardDimension(0, model.IntermediateUnit)),
            new(Layer("mlp.down_proj.weight"), new ShardDimension(1, model.IntermediateUnit)),
            new(Layer("input_layernorm.weight"), new Replicate()), new(Layer("post_attention_layernorm.weight"), new Replicate())];
    }

    private static IEnumerable<TensorRule> LlamaEnds(DecoderDimensions model)
    {
        yield return new("model.embed_tokens.weight", new ShardVocabulary(model.VocabularyMultiple), model.Tied ? StageRule.Tied : StageRule.First);
        if (!model.Tied) yield return new("lm_head.weight", new ShardVocabulary(model.VocabularyMultiple), StageRule.Last);
        yield return new("model.norm.weight", new Replicate(), StageRule.Last);
    }

    /// <summary>Queries by groups of heads, divisible at heads; keys by heads, shared where ranks outnumber them. Sizes are filled in by the user.</summary>
    private static (ShardPart Queries, ShardPart Keys) Attention(DecoderDimensions model) =>
        (new(0, (long)model.Heads / model.KeyValueHeads * model.HeadWidth, Shortage.Divide, model.HeadWidth), new(0, model.HeadWidth, Shortage.Share));

    private static (long Queries, long Keys) Rows(DecoderDimensions model) => ((long)model.Heads * model.HeadWidth, (long)model.KeyValueHeads * model.HeadWidth);

    private static ShardDimension Cut(int along, ShardPart part) => new(along, part.Unit, part.Shortage, part.FineUnit);

    private static string Layer(string name) => "model.layers.{layer}." + name;
}
