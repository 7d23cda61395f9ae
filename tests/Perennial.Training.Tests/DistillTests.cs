using Perennial.Core;
using Perennial.Data;
using Perennial.Data.Tokenizers;
using Perennial.Models;
using Perennial.Models.HuggingFace;
using Perennial.Objectives;
using Perennial.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Perennial.Training.Tests;

/// <summary>Distillation and ensembles against composed formulas.</summary>
public sealed class DistillTests : IDisposable
{
    private readonly string place = Directory.CreateTempSubdirectory("perennial-distill-").FullName;
    private readonly BpeTokenizer tokenizer;

    public DistillTests()
    {
        TorchRuntime.EnsureLoaded();
        var trainer = new BpeTrainer();
        trainer.Count([System.Text.Encoding.UTF8.GetBytes(string.Concat(Enumerable.Range(0, 60).Select(i => $"twice: oak{i} => oak{i} oak{i}. ")))]);
        tokenizer = trainer.Train(300);
    }

    public void Dispose() => Directory.Delete(place, recursive: true);

    private DecoderConfig Config(int width) => new()
    {
        Family = ModelFamily.Llama, Vocabulary = tokenizer.VocabularySize, Context = 16, Width = width, Layers = 1, Heads = 1, KeyValueHeads = 1, HeadWidth = width, Intermediate = 32,
        EndOfText = tokenizer.EndOfText, InitializerRange = 0.3,
    };

    private string Teacher(string name, int width, ulong seed)
    {
        var folder = Directory.CreateDirectory(Path.Combine(place, name)).FullName;
        using var model = Decoder.Fresh(Config(width), seed);
        ConfigJson.Write(model.Config, folder);
        WeightFiles.Write(model.Parameters.Layout, model.Parameters.Values, folder);
        tokenizer.Save(folder);
        return folder;
    }

    private static TokenBatch Batch(int vocabulary)
    {
        var random = new Random(4);
        long[] Draw() => [.. Enumerable.Range(0, 32).Select(_ => (long)random.Next(vocabulary))];
        var targets = Draw();
        targets[5] = TokenBatch.Ignored;
        return new TokenBatch(2, 16) { Inputs = Draw(), Targets = targets, SampleIds = new long[2] };
    }

    [Theory]
    [InlineData(0.9, 2)]
    [InlineData(1, 1)]
    [InlineData(0, 1)]
    public void Loss_and_gradients_equal_the_composed_ones(double share, double temperature)
    {
        using var scope = NewDisposeScope();
        string[] folders = [Teacher("a", 16, 1), Teacher("b", 32, 2)];
        using var objective = new DistillObjective(new DistillOptions { Teachers = folders, Share = share, Temperature = temperature }, tokenizer);
        using var student = Decoder.Fresh(Config(16), 9);
        var batch = Batch(tokenizer.VocabularySize);
        student.Parameters.ClearGradients();
        var loss = objective.Loss(student, batch, 31);
        loss.backward();
        student.Parameters.CompleteGradients();

        var input = new ModelInput(tensor(batch.Inputs, 2, 16), null);
        Tensor teacher;
        using (no_grad())
        {
            using var a = Decoder.Fresh(Config(16), 1);
            using var b = Decoder.Fresh(Config(32), 2);
            teacher = (matmul(a.Hidden(input), a.HeadWeight().t()) + matmul(b.Hidden(input), b.HeadWeight().t())).view(32, -1) / 2;
        }
        using var parameters = new FlatParameters(student.Parameters.Layout);
        parameters.Values.copy_(student.Parameters.Values);
        using var plain = new PlainDecoder(student.Config, Precision.Float32, parameters);
        var logits = matmul(plain.Hidden(input), plain.HeadWeight().t()).view(32, -1);
        var counted = tensor(batch.Targets).ne(TokenBatch.Ignored);
        var distance = ((teacher / temperature).softmax(1) * ((teacher / temperature).log_softmax(1) - (logits / temperature).log_softmax(1))).sum(dim: 1);
        var expected = ((1 - share) * nn.functional.cross_entropy(logits, tensor(batch.Targets), ignore_index: -100, reduction: nn.Reduction.Sum)
            + share * temperature * temperature * (distance * counted).sum()) / 31;
        expected.backward();
        Assert.Equal(expected.item<float>(), loss.item<float>(), 1e-4);
        foreach (var entry in parameters.Layout.Entries)
        {
            var (mine, theirs) = (student.Parameters.Gradient(entry.Name), parameters.Gradient(entry.Name));
            Assert.True((mine - theirs).norm().item<float>() < 3e-5 * theirs.norm().item<float>() + 1e-7, entry.Name);
        }
    }

    [Fact]
    public void A_student_equal_to_its_teacher_has_nothing_to_learn()
    {
        using var scope = NewDisposeScope();
        using var objective = new DistillObjective(new DistillOptions { Teachers = [Teacher("a", 16, 1)], Share = 1 }, tokenizer);
        using var student = Decoder.Fresh(Config(16), 1);
        student.Parameters.ClearGradients();
        var loss = objective.Loss(student, Batch(tokenizer.VocabularySize), 31);
        loss.backward();
        student.Parameters.CompleteGradients();
        Assert.Equal(0, loss.item<float>(), 1e-5);
        Assert.True(student.Parameters.Gradients.abs().max().item<float>() < 1e-5);
    }

    [Fact]
    public void Responses_alone_count_after_their_separator()
    {
        var objective = new ResponseObjective(new ResponseOptions { After = " =>" }, tokenizer);
        var ids = new List<int>();
        tokenizer.Encode("twice: oak1 =>"u8, ids);
        var separator = ids[^1];
        var inputs = new long[] { 5, 6, separator, 7, 8, tokenizer.EndOfText, 9, 9, 9, separator, 7, 7 };
        var batch = new TokenBatch(1, 12) { Inputs = inputs, Targets = [6, separator, 7, 8, tokenizer.EndOfText, 9, 9, 9, separator, 7, 7, 1], SampleIds = [0] };
        // 7, 8 and the end after the first separator, then 7, 7, 1.
        Assert.Equal(6, objective.Targets(batch));
    }

    [Fact]
    public void Another_tokenizer_is_refused()
    {
        var trainer = new BpeTrainer();
        trainer.Count(["something else altogether, again and again and again"u8.ToArray()]);
        Assert.Equal(ExitCode.Usage, Assert.Throws<PerennialException>(() => new DistillObjective(new DistillOptions { Teachers = [Teacher("a", 16, 1)] }, trainer.Train(280))).Code);
    }
}
