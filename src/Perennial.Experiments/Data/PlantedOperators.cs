using System.ComponentModel.DataAnnotations;
using Perennial.Core;
using Perennial.Core.Recipes;
using Perennial.Data;
using Perennial.Data.Curation;
using Perennial.Data.Deduplication;
using Perennial.Data.Planting;
using Perennial.Data.Sources;
using Perennial.Experiments.Measured;
using Perennial.Experiments.Runs;

namespace Perennial.Experiments.Data;

/// <summary>Options of <see cref="PlantedOperators"/>.</summary>
public sealed record PlantedOperatorsOptions
{
    /// <summary>Clean documents of the planted corpus.</summary>
    [Range(20, 100_000)]
    public int Documents { get; init; } = 300;

    /// <summary>English prose that documents are made of.</summary>
    public string Text { get; init; } = "corpus/austen";

    /// <summary>Pairs for each similarity of the MinHash curve.</summary>
    [Range(10, 100_000)]
    public int Pairs { get; init; } = 1000;

    /// <summary>Whether the recipe is trained and its held-out bits a byte measured, instead of the operators.</summary>
    public bool Train { get; init; }
}

/// <summary>
/// Measures the data engine's operators on a corpus with planted defects: precision and recall of each, how far MinHash strays from its curve, whether
/// threads change the result; or trains the recipe, so that arms with other pipelines can be compared on the same clean text.
/// </summary>
/// <param name="options">Sizes.</param>
[Component("planted-operators")]
public sealed class PlantedOperators(PlantedOperatorsOptions options) : IExperiment
{
    private static readonly double[] Similarities = [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];

    /// <inheritdoc/>
    public ExperimentOutcome Measure(ExperimentContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        return options.Train ? Train(context) : Operators(context);
    }

    private static ExperimentOutcome Train(ExperimentContext context)
    {
        var recipe = context.Recipe ?? throw PerennialException.Usage("experiment planted-operators with train: true needs the paper's recipe");
        var outcome = new TrainingTrialRunner(context.Components).Run(recipe, Path.Combine(context.Folder, "run"), context.Progress, context.Cancellation);
        return new ExperimentOutcome
        {
            Measures = new Dictionary<string, double> { ["bits-per-byte"] = outcome.Final["raw"]["bits_per_byte"] },
            Parameters = outcome.Parameters, Tokens = outcome.Tokens, Flops = outcome.Flops,
        };
    }

    private ExperimentOutcome Operators(ExperimentContext context)
    {
        var folder = Path.Combine(context.Folder, "planted");
        // What a stopped call left is made anew: it takes seconds.
        if (Directory.Exists(folder)) Directory.Delete(folder, recursive: true);
        var corpus = PlantedCorpus.Make(context.Seed, options.Documents, PlantedParagraphs.Read(options.Text, context.Cancellation));
        var measures = new Dictionary<string, double>();
        foreach (var score in PlantedMeasure.Run(corpus, folder, context.Cancellation))
        {
            var name = score.Operator.Split(':')[0].Replace(" + ", "-", StringComparison.Ordinal).Replace(" reader", "-reader", StringComparison.Ordinal);
            if (name == "classifier") name = "toxicity-classifier";
            (measures[$"{name}-recall"], measures[$"{name}-precision"]) = (score.Recall, score.Precision);
        }
        var curve = Curve(context.Seed);
        measures["minhash-curve-deviation"] = curve.Max(point => Math.Abs(point.Found - point.Expected));
        measures["threads-differ"] = Differ(context, folder);
        Directory.Delete(folder, recursive: true);
        return new ExperimentOutcome
        {
            Measures = measures,
            Curves = [new MeasuredCurve("Pairs found by MinHash-LSH", "Jaccard similarity", "share found", [.. curve.Select(point => new CurvePoint(point.Similarity, point.Found))])],
        };
    }

    // Pairs of sets of known similarity against 1 − (1 − s^rows)^bands.
    private List<(double Similarity, double Found, double Expected)> Curve(ulong seed)
    {
        var usual = new MinHashDedupOptions();
        var hashes = new MinHash(usual.Bands * usual.Rows, seed);
        var points = new List<(double, double, double)>();
        foreach (var similarity in Similarities)
        {
            // Two sets of n with a common part c have similarity c / (2n − c).
            const int N = 300;
            var common = (int)Math.Round(2 * N * similarity / (1 + similarity));
            var exact = common / (2.0 * N - common);
            var found = 0;
            var (one, other) = (new uint[hashes.Permutations], new uint[hashes.Permutations]);
            var (first, second) = (new uint[N], new uint[N]);
            for (var pair = 0; pair < options.Pairs; pair++)
            {
                for (var i = 0; i < N; i++)
                {
                    uint Element(int side) => (uint)Philox.Bits(seed, RandomPurpose.Statistics, (ulong)pair, (ulong)(i < common ? i : i + side * N));
                    (first[i], second[i]) = (Element(1), Element(2));
                }
                hashes.Sign(first, one);
                hashes.Sign(second, other);
                for (var band = 0; band < usual.Bands; band++)
                {
                    if (!one.AsSpan(band * usual.Rows, usual.Rows).SequenceEqual(other.AsSpan(band * usual.Rows, usual.Rows))) continue;
                    found++;
                    break;
                }
            }
            points.Add((exact, found / (double)options.Pairs, 1 - Math.Pow(1 - Math.Pow(exact, usual.Rows), usual.Bands)));
        }
        return points;
    }

    // 0 when one thread and four threads with little memory give the same shards.
    private static double Differ(ExperimentContext context, string folder)
    {
        string Run(string name, int threads, long memory)
        {
            var pipeline = new RecipeBinder(context.Components).Bind<PipelineHolder>(RecipeDocument.Parse("pipeline: [unicode, whitespace, exact-dedup, minhash-dedup, substring-dedup]", "experiment")).Pipeline;
            var output = Path.Combine(folder, name);
            CorpusCuration.Run(new CurationRequest([new SourceOptions { Path = Path.Combine(folder, "corpus") }], pipeline, output) { Threads = threads, Memory = memory, Cache = folder }, null, context.Cancellation);
            return File.ReadAllText(Path.Combine(output, CorpusCuration.ManifestName));
        }
        return Run("one", 1, 1L << 28) == Run("four", 4, 1) ? 0 : 1;
    }

    private sealed record PipelineHolder
    {
        public IReadOnlyList<ComponentSpec<IFilter>> Pipeline { get; init; } = [];
    }
}
