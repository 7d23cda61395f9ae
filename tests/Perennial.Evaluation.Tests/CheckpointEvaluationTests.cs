using System.IO.Compression;
using System.Text;
using Perennial.Core;
using Perennial.Core.Recipes;
using Perennial.Data.Synthesis;
using Perennial.Data.Tokenizers;
using Perennial.Evaluation.Checkpoints;
using Perennial.Evaluation.Tasks;
using Perennial.Models;
using Perennial.Models.HuggingFace;
using Perennial.Training.HeldOut;
using Decoder = Perennial.Models.Decoder;

namespace Perennial.Evaluation.Tests;

public class CheckpointEvaluationTests
{
    private static readonly string Prose = string.Concat(Enumerable.Range(0, 40).Select(i => $"The {i} sailors saw the harbour, and the wind blew. "));

    [Fact]
    public void A_folder_is_evaluated_on_a_file_packed_or_not()
    {
        using var folder = new TemporaryFolder();
        Checkpoint(folder.Path);
        File.WriteAllText(folder["a.txt"], Prose);
        using (var gzip = new GZipStream(File.Create(folder["b.txt.gz"]), CompressionLevel.Fastest)) gzip.Write(Encoding.UTF8.GetBytes("\uFEFF" + Prose));
        var plain = Evaluate(folder, "a.txt", "bits-per-byte", "perplexity", "next-word");
        var packed = Evaluate(folder, "b.txt.gz");
        Assert.Equal(Prose.Length, plain.Bytes);
        Assert.Equal(plain.Metrics["bits_per_byte"], packed.Metrics["bits_per_byte"]);
        Assert.Equal(Math.Exp(plain.Metrics["loss"]), plain.Metrics["perplexity"], 9);
        Assert.Equal(plain.Metrics["loss"] * plain.Tokens / Math.Log(2) / plain.Bytes, plain.Metrics["bits_per_byte"], 9);
        Assert.InRange(plain.Metrics["next_word_accuracy"], 0, 1);
        var json = plain.ToJson();
        Assert.Equal("gzip -9", (string)json["yardsticks"]![0]!["name"]!);
        Assert.Equal(plain.Metrics["bits_per_byte"], (double)json["bits_per_byte"]!);
    }

    [Fact]
    public async Task A_checkpoint_answers_prompts_and_is_known_by_its_weights()
    {
        using var folder = new TemporaryFolder();
        Checkpoint(folder.Path);
        using var checkpoint = LoadedCheckpoint.Open(folder.Path, _ => { });
        using var generator = new CheckpointGenerator(checkpoint);
        var answers = await Task.WhenAll(Enumerable.Range(0, 4).Select(i => generator.Generate(new GenerationRequest($"The {i % 2} sailors", 12, 1, 7), default)));
        Assert.Equal(answers[0], answers[2]);
        Assert.Equal(answers[1], answers[3]);
        Assert.NotEqual(answers[0].Text, answers[1].Text);
        Assert.InRange(answers[0].TokensUsed, 2, 12 + 14);
        var id = generator.Id;
        using (var same = new CheckpointGenerator(checkpoint)) Assert.Equal(id, same.Id);
        using (TorchSharp.torch.no_grad()) checkpoint.Model.Parameters.Values.add_(1e-3);
        using (var other = new CheckpointGenerator(checkpoint)) Assert.NotEqual(id, other.Id);
    }

    [Fact]
    public void A_checkpoint_embeds_texts_of_any_length_alike_on_every_thread()
    {
        using var folder = new TemporaryFolder();
        Checkpoint(folder.Path);
        var options = new CheckpointEmbedderOptions { Path = folder.Path, Windows = 2 };
        Assert.Contains(options.Files(), file => Path.GetFileName(file) == "model.safetensors");
        Tensors.TorchRuntime.Initialize();
        var threads = TorchSharp.torch.get_num_threads();
        TorchSharp.torch.set_num_threads(threads + 1);
        using var embedder = new CheckpointEmbedder(options);
        Assert.Equal(threads + 1, TorchSharp.torch.get_num_threads());
        TorchSharp.torch.set_num_threads(threads);
        float[] Vector(string text)
        {
            var vector = new float[embedder.Width];
            embedder.Embed(Encoding.UTF8.GetBytes(text), vector);
            return vector;
        }
        var alone = Enumerable.Range(0, 8).Select(i => Vector(Prose[..(20 + 30 * i)])).ToArray();
        var together = new float[8][];
        Parallel.For(0, 8, i => together[i] = Vector(Prose[..(20 + 30 * i)]));
        Assert.Equal(alone, together);
        // Two windows count, and nothing behind them.
        Assert.Equal(Vector(Prose), Vector(Prose + "and more"));
        Assert.NotEqual(Vector("The wind blew."), Vector("The harbour."));
        Assert.All(Vector(""), value => Assert.Equal(0, value));
    }

    [Fact]
    public void What_is_wrong_is_said_with_the_right_code()
    {
        using var folder = new TemporaryFolder();
        Checkpoint(folder.Path);
        File.WriteAllText(folder["empty.txt"], "");
        File.WriteAllBytes(folder["latin.txt"], [0x41, 0xE9, 0x42]);
        Assert.Equal(ExitCode.Usage, Refusal(() => Evaluate(folder, "empty.txt")));
        Assert.Equal(ExitCode.Usage, Refusal(() => Evaluate(folder, "nowhere.txt")));
        Assert.Equal(ExitCode.Damaged, Refusal(() => Evaluate(folder, "latin.txt")));
        File.WriteAllText(folder["a.txt"], Prose);
        Assert.Equal(ExitCode.Usage, Refusal(() => Evaluate(folder, "a.txt", "bits-per-bite")));
        Assert.Equal(ExitCode.Usage, Refusal(() => Evaluate(folder, null)));
    }

    private static ExitCode Refusal(Action action)
    {
        var error = Assert.Throws<PerennialException>(action);
        Assert.DoesNotContain('\n', error.Message);
        return error.Code;
    }

    private static EvaluationResult Evaluate(TemporaryFolder folder, string? file, params string[] tasks) =>
        new CheckpointEvaluation(ComponentRegistry.Scan([typeof(BitsPerByteTask).Assembly, typeof(IEvaluationTask).Assembly])).Run(
            new CheckpointEvaluationOptions { Path = folder.Path, Text = file is null ? null : folder[file], Tasks = tasks }, _ => { });

    private static void Checkpoint(string folder)
    {
        var trainer = new BpeTrainer();
        trainer.Count([Encoding.UTF8.GetBytes(Prose)]);
        var tokenizer = trainer.Train(300);
        var config = new DecoderConfig
        {
            Family = ModelFamily.Llama, Vocabulary = tokenizer.VocabularySize, Context = 32, Width = 16, Layers = 1, Heads = 2, KeyValueHeads = 2, HeadWidth = 8, Intermediate = 32, EndOfText = tokenizer.EndOfText,
        };
        using var model = Decoder.Fresh(config, 3);
        ConfigJson.Write(config, folder);
        WeightFiles.Write(model.Parameters.Layout, model.Parameters.Values, folder);
        tokenizer.Save(folder);
    }
}
