using System.ComponentModel.DataAnnotations;
using System.Globalization;
using System.Text;
using Perennial.Core;
using Perennial.Core.Recipes;
using Perennial.Data.Tokenizers;
using Perennial.Experiments.Measured;
using Perennial.Experiments.Runs;
using Perennial.Experiments.Statistics;
using Perennial.Models;
using Perennial.Training.HeldOut;

namespace Perennial.Experiments.Stages;

/// <summary>Options of <see cref="FixedCorpus"/>.</summary>
public sealed record FixedCorpusOptions
{
    /// <summary>The text; its beginning is trained on, its end held out.</summary>
    public string Text { get; init; } = "corpus/austen/emma.txt";

    /// <summary>Bytes of the training text.</summary>
    [Range(1000, 100_000_000)]
    public int Bytes { get; init; } = 60_000;

    /// <summary>Bytes of the held-out text.</summary>
    [Range(1000, 100_000_000)]
    public int HeldBytes { get; init; } = 60_000;

    /// <summary>Passes over the text that the standard recipe tries, at the standard decay; the last is what regularized models take.</summary>
    [MinLength(1)]
    public IReadOnlyList<int> Epochs { get; init; } = [4, 8, 16];

    /// <summary>The standard weight decay.</summary>
    [Range(0.0, 100.0)]
    public double StandardDecay { get; init; } = 0.1;

    /// <summary>Weight decays that the regularized recipe tries beside the standard one; as many as the standard recipe's epochs is fair.</summary>
    [MinLength(1)]
    public IReadOnlyList<double> Decays { get; init; } = [0.4, 1.6, 6.4];

    /// <summary>Models of the ensemble; 0 for none.</summary>
    [Range(0, 100)]
    public int Members { get; init; }

    /// <summary>Share of the teacher's term when the ensemble is distilled into one model of its members' size.</summary>
    [Range(0.0, 1.0)]
    public double DistillShare { get; init; } = 0.9;
}

/// <summary>
/// The most of a fixed text (Kim et al. 2025, arXiv 2509.14786): the standard recipe with its epochs searched, the decay searched, an ensemble of
/// models that differ in start and order with half that decay, and its distillation into one. Losses are nats a token of held-out text.
/// </summary>
[Component("fixed-corpus")]
public sealed class FixedCorpus(FixedCorpusOptions options) : IExperiment
{
    /// <inheritdoc/>
    public ExperimentOutcome Measure(ExperimentContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        var recipe = context.Recipe ?? throw PerennialException.Usage("experiment 'fixed-corpus' needs a recipe");
        var stages = new StageTraining(context);
        var (train, held) = Split();
        var file = stages.Write("train", train);
        var tokenizer = stages.Tokenizer(recipe, file);
        var words = TokenizerJson.Load(tokenizer);
        var ids = new List<int>();
        foreach (var paragraph in train) words.Encode(Encoding.UTF8.GetBytes(paragraph), ids);
        var epoch = ids.Count + train.Count;
        recipe = recipe.With("data.sources", $"[{{ path: {file} }}]").With("data.tokenizer", $"{{ kind: file, path: {tokenizer} }}");
        var text = EvaluationText.Of("held-out", held.Select(paragraph => (ReadOnlyMemory<byte>)Encoding.UTF8.GetBytes(paragraph)), words);
        var measures = new Dictionary<string, double>();

        var longest = options.Epochs[^1];
        var standard = options.Epochs.Select(epochs => (Epochs: epochs, Loss: Loss(Train($"epochs-{epochs}", epochs, options.StandardDecay, recipe)))).ToList();
        var regularized = options.Decays.Select(decay => (Decay: decay, Loss: Loss(Train($"decay-{Text(decay)}", longest, decay, recipe)))).Prepend((Decay: options.StandardDecay, standard[^1].Loss)).ToList();
        var (bestEpochs, baseline) = standard.MinBy(one => one.Loss);
        var (bestDecay, single) = regularized.MinBy(one => one.Loss);
        (measures["baseline"], measures["best-epochs"], measures["overfit"]) = (baseline, bestEpochs, standard[^1].Loss - baseline);
        (measures["regularized"], measures["best-decay"], measures["gain"]) = (single, bestDecay, baseline - single);
        var curves = new List<MeasuredCurve> { new("Loss by weight decay", "decay", "held-out loss, nats a token", [.. regularized.Select(one => new CurvePoint(one.Decay, one.Loss))]) };
        if (options.Members > 0) Ensemble();
        return new ExperimentOutcome { Measures = measures, Curves = curves, Parameters = stages.Parameters, Tokens = stages.Tokens, Flops = stages.Flops };

        void Ensemble()
        {
            List<string> members = [.. Enumerable.Range(0, options.Members).Select(k => Train($"member-{k}", longest, bestDecay / 2, recipe.With("seed", $"{context.Seed + 1000 * (ulong)(k + 1)}")))];
            var byCount = Enumerable.Range(1, members.Count).Select(count => (Count: count, Loss: Loss([.. members.Take(count)]))).ToList();
            foreach (var (count, loss) in byCount) measures[$"ensemble-{count}"] = loss;
            curves.Add(new("Loss by members", "members", "held-out loss, nats a token", [.. byCount.Select(one => new CurvePoint(one.Count, one.Loss))]));
            if (byCount.Count >= 3)
            {
                var law = AsymptoteFit.Of([.. byCount.Select(one => (double)one.Count)], [.. byCount.Select(one => one.Loss)]);
                (measures["ensemble-limit"], measures["ensemble-exponent"]) = (law.E, law.Alpha);
            }
            var teachers = string.Join(", ", members);
            var student = Loss(Train("student", longest, options.StandardDecay, recipe.With("objective", $"{{ kind: distill, teachers: [{teachers}], share: {Text(options.DistillShare)} }}")));
            (measures["distilled"], measures["recovered"]) = (student, (single - student) / Math.Max(1e-9, single - byCount[^1].Loss));
        }

        string Train(string name, int epochs, double decay, RecipeNode from)
        {
            var folder = stages.Train(name, from.With("training.tokens", $"{(long)epochs * epoch}").With("optimizer.decay", Text(decay)));
            context.Progress.Report(Math.Min(0.95, stages.Tokens / (double)epoch / (options.Epochs.Sum() + longest * (options.Decays.Count + options.Members + (options.Members > 0 ? 1 : 0)))));
            return folder;
        }

        double Loss(params IReadOnlyList<string> folders)
        {
            context.Cancellation.ThrowIfCancellationRequested();
            using var model = new EnsembleModel([.. folders.Select(StageTraining.Load)]);
            return new TextScorer(0.5).Score(model, text).Loss;
        }
    }

    private static string Text(double value) => value.ToString("R", CultureInfo.InvariantCulture);

    /// <summary>Paragraphs from the beginning and from the end of the text; a paragraph that stands in both is no held-out one.</summary>
    private (List<string> Train, List<string> Held) Split()
    {
        string[] paragraphs = [.. File.ReadAllText(options.Text).ReplaceLineEndings("\n").Split("\n\n", StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)];
        var train = Take(paragraphs, options.Bytes);
        var known = train.ToHashSet(StringComparer.Ordinal);
        var held = Take(paragraphs.Skip(train.Count).Reverse().Where(paragraph => !known.Contains(paragraph)), options.HeldBytes);
        return (train, held);

        static List<string> Take(IEnumerable<string> from, int bytes)
        {
            var taken = new List<string>();
            foreach (var paragraph in from)
            {
                if (bytes <= 0) break;
                taken.Add(paragraph);
                bytes -= Encoding.UTF8.GetByteCount(paragraph);
            }
            return taken;
        }
    }
}
