using System.Text;
using Perennial.Models;
using Perennial.Training.HeldOut;
using TorchSharp;
using static TorchSharp.torch;
using Decoder = Perennial.Models.Decoder;

namespace Perennial.Evaluation.Tests;

public class TextScorerTests
{
    private const int Context = 48;
    private static readonly ByteTokenizer Tokenizer = new();

    [Theory]
    [InlineData(0)]
    [InlineData(0.5)]
    public void Agrees_with_one_forward_pass_a_token(double overlap)
    {
        using var model = Tiny();
        var text = Text();
        var scores = new TextScorer(overlap).Score(model, text);
        var total = 0.0;
        foreach (var window in TextWindow.Plan(text.Documents.Select(d => d.Length), Context, (int)(overlap * (Context - 1))))
        {
            var tokens = text.Documents[window.Document].Span;
            for (var t = window.Scored; t < window.Length; t++)
            {
                var inputs = new long[t + 1];
                for (var i = 0; i <= t; i++) inputs[i] = window.First + i == 0 ? Tokenizer.EndOfText : tokens[window.First + i - 1];
                var (nats, first) = OneToken(model, inputs, tokens[window.First + t]);
                Assert.Equal(nats, scores.Nats[window.Document][window.First + t], 1e-4);
                Assert.Equal(first, scores.Greedy[window.Document][window.First + t]);
                total += nats;
            }
        }
        Assert.Equal(total, scores.TotalNats, 1e-3);
        Assert.Equal(total / Math.Log(2) / text.Bytes, scores.BitsPerByte, 1e-5);
        Assert.Equal(Math.Exp(total / text.Tokens), scores.Perplexity, 0.05);
    }

    [Fact]
    public void Batch_size_and_chunk_size_change_nothing_that_can_be_seen()
    {
        using var model = Tiny();
        var reference = new TextScorer(0.5).Score(model, Text());
        foreach (var (tokens, logits) in new[] { (1, 32L << 20), (200, 4096L), (8192, 1L) })
            Assert.Equal(reference.TotalNats, new TextScorer(0.5, tokens, logits).Score(model, Text()).TotalNats, 1e-3);
    }

    [Fact]
    public void The_same_weights_give_the_same_bits()
    {
        using var model = Tiny();
        Assert.Equal(
            BitConverter.DoubleToInt64Bits(new TextScorer(0.5).Score(model, Text()).TotalNats),
            BitConverter.DoubleToInt64Bits(new TextScorer(0.5).Score(model, Text()).TotalNats));
    }

    [Fact]
    public void An_untrained_model_needs_about_the_logarithm_of_its_vocabulary()
    {
        using var model = Tiny();
        Assert.Equal(Math.Log2(257), new TextScorer().Score(model, Text()).BitsPerByte, 0.15);
    }

    [Fact]
    public void No_graph_is_built_and_no_tensor_is_left_behind()
    {
        using var model = Tiny();
        new TextScorer().Score(model, Text()); // what a model keeps for itself after its first pass
        var before = Perennial.Tensors.TensorCensus.LiveOnThisThread;
        new TextScorer().Score(model, Text());
        Assert.InRange(Perennial.Tensors.TensorCensus.LiveOnThisThread - before, long.MinValue, 0);
    }

    [Fact]
    public void A_text_without_a_token_is_refused() =>
        Assert.Throws<ArgumentException>(() =>
        {
            using var model = Tiny();
            new TextScorer().Score(model, EvaluationText.Of("empty", [ReadOnlyMemory<byte>.Empty], Tokenizer));
        });

    private static Decoder Tiny() => Decoder.Fresh(
        new DecoderConfig
        {
            Family = ModelFamily.Llama, Vocabulary = 257, Context = Context, Width = 32, Layers = 2, Heads = 4, KeyValueHeads = 2, HeadWidth = 8, Intermediate = 64,
        },
        seed: 5);

    private static EvaluationText Text() => EvaluationText.Of(
        "sample", new[] { "It is a truth universally acknowledged, that a single man in possession of a good fortune, must be in want of a wife.", "ü", new string('a', 70) }
            .Select(text => (ReadOnlyMemory<byte>)Encoding.UTF8.GetBytes(text)), Tokenizer);

    private static (double Nats, bool First) OneToken(Decoder model, long[] inputs, int target)
    {
        using var gradients = no_grad();
        using var scope = NewDisposeScope();
        var hidden = model.Hidden(new ModelInput(tensor(inputs, 1, inputs.Length), null)).to_type(ScalarType.Float64)[0, -1];
        var logits = model.HeadWeight().to_type(ScalarType.Float64).mv(hidden).data<double>().ToArray();
        var normal = Math.Log(logits.Sum(Math.Exp));
        return (normal - logits[target], Array.IndexOf(logits, logits.Max()) == target);
    }
}
