using CsCheck;
using Perennial.Models.Inference;
using Perennial.Tensors;
using static TorchSharp.torch;
using Generator = Perennial.Models.Inference.Generator;

namespace Perennial.Models.Tests;

public class InferenceTests
{
    public static TheoryData<string> WithGreedy => ["gpt2-exact", "gpt2-repeated-head", "llama-head-dim", "llama-long", "llama-rope-parameters"];

    [Theory]
    [MemberData(nameof(WithGreedy))]
    public void Greedy_text_is_the_reference_s(string fixture)
    {
        var reference = ModelFolder.Reference(fixture);
        int[] Ids(string key) => [.. reference.GetProperty(key).EnumerateArray().Select(id => id.GetInt32())];
        using var model = ModelFolder.Load(ModelFolder.Fixture(fixture));
        Assert.Equal(Ids("greedy"), Generator.Generate(model, Ids("prompt"), new GenerationOptions { Temperature = 0, Tokens = Ids("greedy").Length }));
    }

    [Theory]
    [MemberData(nameof(WithGreedy))]
    public void Pieces_of_any_size_give_the_logits_of_one_pass(string fixture)
    {
        using var model = ModelFolder.Load(ModelFolder.Fixture(fixture));
        int[] ids = [.. ModelFolder.Reference(fixture).GetProperty("ids").EnumerateArray().Select(id => id.GetInt32())];
        var expected = Logits(model, ids);
        Gen.Int[1, 9].Array[1, 40].Sample(pieces =>
        {
            using var decoder = new IncrementalDecoder(model);
            var at = 0;
            foreach (var piece in pieces)
            {
                if (at == ids.Length) break;
                var next = Math.Min(ids.Length, at + piece);
                var logits = decoder.Feed(ids[at..next]);
                at = next;
                for (var i = 0; i < logits.Length; i++) Assert.Equal(expected[at - 1, i], logits[i], 1e-5f * Math.Max(1, Math.Abs(logits[i])));
            }
        }, iter: 5, threads: 1);
    }

    [Fact]
    public void Long_texts_are_scored_once_a_token_from_windows_that_overlap_by_half()
    {
        using var model = ModelFolder.Load(ModelFolder.Fixture("gpt2-exact")); // its context is 40
        var ids = Enumerable.Range(0, 131).Select(i => (i * 31 + 7) % 97).ToArray();
        var scores = SequenceScorer.Score(model, ids);
        Assert.True(float.IsNaN(scores[0]));
        Assert.All(scores.Skip(1), score => Assert.True(score < 0 && float.IsFinite(score)));
        // Within the first window a token sees all that precedes it; later ones at least half the context.
        var first = SequenceScorer.Score(model, ids[..41]);
        Assert.Equal(first.Skip(1), scores.Take(41).Skip(1));
        var tail = SequenceScorer.Score(model, ids[^41..]);
        Assert.Equal(tail[^1], scores[^1], 1e-5f);
    }

    [Fact]
    public void The_end_of_text_ends_it_and_the_prompt_may_be_longer_than_the_context()
    {
        using var model = ModelFolder.Load(ModelFolder.Fixture("gpt2-exact"));
        var prompt = Enumerable.Range(0, 100).Select(i => i % 97).ToArray();
        var free = Generator.Generate(model, prompt, new GenerationOptions { Temperature = 0, Tokens = 30 }).ToArray();
        Assert.Equal(30, free.Length);
        var end = free[12];
        Assert.Equal(free.TakeWhile(id => id != end), Generator.Generate(model, prompt, new GenerationOptions { Temperature = 0, Tokens = 30, EndOfText = end }));
    }

    [Fact]
    public void Top_k_and_top_p_leave_only_the_most_probable()
    {
        float[] logits = [0, 3, 1, 2.9f, -5];
        HashSet<int> Drawn(GenerationOptions options) => [.. Enumerable.Range(0, 500).Select(i => TokenSampler.Draw(logits, options, (ulong)i))];
        Assert.Equal([1, 3], Drawn(new GenerationOptions { TopK = 2, Temperature = 5 }).Order());
        Assert.Equal([1, 3], Drawn(new GenerationOptions { TopP = 0.6, Temperature = 1 }).Order());
        Assert.Equal([1], Drawn(new GenerationOptions { TopP = 1e-9, Temperature = 1 }));
        Assert.Equal([0, 1, 2, 3, 4], Drawn(new GenerationOptions { Temperature = 50 }).Order());
    }

    [Fact]
    public void Draws_have_the_softmax_s_frequencies()
    {
        float[] logits = [0, 1, 2];
        var counts = new int[3];
        for (var i = 0; i < 30_000; i++) counts[TokenSampler.Draw(logits, new GenerationOptions { Temperature = 2, Seed = 5 }, (ulong)i)]++;
        var weights = logits.Select(logit => Math.Exp(logit / 2)).ToArray();
        for (var i = 0; i < 3; i++) Assert.Equal(weights[i] / weights.Sum(), counts[i] / 30_000.0, 0.015);
    }

    private static float[,] Logits(Decoder model, int[] ids)
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var hidden = model.Hidden(new ModelInput(tensor(ids.Select(id => (long)id).ToArray(), 1, ids.Length), null));
        var logits = nn.functional.linear(hidden, model.HeadWeight()).reshape(-1).data<float>().ToArray();
        var result = new float[ids.Length, model.Config.Vocabulary];
        Buffer.BlockCopy(logits, 0, result, 0, logits.Length * sizeof(float));
        return result;
    }
}
