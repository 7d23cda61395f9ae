using System.Diagnostics;
using Perennial.Models;
using Perennial.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Perennial.Training.Bench;

/// <summary>A decoder shape and what its training step is predicted to take here.</summary>
/// <param name="Config">The shape.</param>
/// <param name="Parameters">Its parameters.</param>
/// <param name="SecondsPerToken">Predicted seconds of forward and backward, a token.</param>
public sealed record SizedShape(DecoderConfig Config, long Parameters, double SecondsPerToken)
{
    /// <summary>Predicted tokens a second.</summary>
    public double TokensPerSecond => 1 / SecondsPerToken;

    /// <inheritdoc/>
    public override string ToString() => $"{Config.Layers} layers, width {Config.Width}, {Config.Heads} heads of {Config.HeadWidth}, inner {Config.Intermediate}";
}

/// <summary>
/// Which of the decoder shapes with about as many parameters trains fastest on this machine (paper 11 §3): every matrix product of a shape is timed
/// in the three orientations that training needs it in, and the rest of a step is counted as memory traffic at the measured copy speed.
/// </summary>
public sealed class SizingAdvisor
{
    private const double ParameterTolerance = 0.02;
    private readonly Dictionary<(long, long, long), double> products = [];
    private readonly int tokens;
    private readonly double copySpeed;
    private readonly double budget;

    /// <param name="tokens">Tokens of a micro-batch.</param>
    /// <param name="budget">Seconds that one product is timed for.</param>
    public SizingAdvisor(int tokens, double budget = 0.02)
    {
        (this.tokens, this.budget) = (tokens, budget);
        copySpeed = MachineProbe.CopySpeed(quick: true);
    }

    /// <summary>Shapes within 2 % of a shape's parameters and within half again of its width, fastest first; the shape itself is among them.</summary>
    /// <param name="wanted">The shape one had in mind.</param>
    /// <param name="cancellation">Stops between shapes.</param>
    public IReadOnlyList<SizedShape> Rank(DecoderConfig wanted, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(wanted);
        var sized = new List<SizedShape>();
        foreach (var shape in Neighbours(wanted))
        {
            cancellation.ThrowIfCancellationRequested();
            sized.Add(new(shape, Parameters(shape), Predict(shape)));
        }
        return [.. sized.OrderBy(shape => shape.SecondsPerToken)];
    }

    /// <summary>Shapes of about as many parameters: widths in steps of 32, depths that the parameters then ask for, inner widths in steps of 32.</summary>
    public static IReadOnlyList<DecoderConfig> Neighbours(DecoderConfig wanted)
    {
        ArgumentNullException.ThrowIfNull(wanted);
        var goal = Parameters(wanted);
        var shapes = new List<DecoderConfig> { wanted };
        for (var width = Math.Max(32, wanted.Width * 2 / 3 / 32 * 32); width <= wanted.Width * 3 / 2; width += 32)
            foreach (var headWidth in new[] { 32, 64 }.Where(head => width % head == 0))
                for (var layers = Math.Max(1, wanted.Layers / 2); layers <= wanted.Layers * 2; layers++)
                {
                    var heads = width / headWidth;
                    var shape = wanted with { Width = width, Layers = layers, Heads = heads, KeyValueHeads = heads, HeadWidth = headWidth, Intermediate = 32 };
                    // The inner width that brings the parameters back, between twice and four times the width.
                    var inner = (int)Math.Round((goal - Parameters(shape)) / (3.0 * width * layers) / 32) * 32 + 32;
                    shape = shape with { Intermediate = inner };
                    if (inner < 2 * width || inner > 4 * width || Math.Abs(Parameters(shape) / (double)goal - 1) > ParameterTolerance || shape == wanted) continue;
                    shapes.Add(shape);
                }
        return shapes;
    }

    /// <summary>Parameters of a shape, embedding included.</summary>
    public static long Parameters(DecoderConfig config) => DecoderLayout.Of(config).Length;

    private double Predict(DecoderConfig config)
    {
        long width = config.Width, inner = config.Intermediate, qkv = (config.Heads + 2L * config.KeyValueHeads) * config.HeadWidth, mixed = (long)config.Heads * config.HeadWidth;
        var block = Product(width, qkv) + Product(mixed, width) + Product(width, 2 * inner) + Product(inner, width);
        // Scores and mixing of causal attention, forward and backward, at the speed of the block's own products.
        var flops = 6.0 * tokens * (width * qkv + mixed * width + 3 * width * inner);
        var attention = 6.0 * tokens * config.Context * mixed * block / flops;
        // Streams, norms and activations: about so many float32 a token are read or written, forward and backward together.
        var traffic = tokens * 4.0 * (16 * width + 6 * qkv + 12 * inner) / copySpeed;
        return (config.Layers * (block + attention + traffic) + Product(width, config.Vocabulary)) / tokens;
    }

    /// <summary>Seconds of a product of this many inputs and outputs, forward, for the input's gradient and for the weight's.</summary>
    private double Product(long inputs, long outputs) => Time(tokens, inputs, outputs) + Time(tokens, outputs, inputs) + Time(outputs, tokens, inputs);

    private double Time(long rows, long inner, long columns)
    {
        if (products.TryGetValue((rows, inner, columns), out var known)) return known;
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        var (left, right, result) = (randn(rows, inner), randn(inner, columns), empty(rows, columns));
        var (least, clock) = (double.PositiveInfinity, Stopwatch.StartNew());
        for (var run = 0; run < 4 || clock.Elapsed.TotalSeconds < budget; run++)
        {
            var start = Stopwatch.GetTimestamp();
            result.addmm_(left, right, 0, 1);
            // The first is a warm-up.
            if (run > 0) least = Math.Min(least, Stopwatch.GetElapsedTime(start).TotalSeconds);
        }
        return products[(rows, inner, columns)] = least;
    }

    /// <summary>Measured tokens a second of shapes, each the best of interleaved repetitions of a whole training step.</summary>
    /// <param name="shapes">The shapes.</param>
    /// <param name="rows">Samples of a step.</param>
    /// <param name="repetitions">Repetitions.</param>
    public static IReadOnlyList<double> Train(IReadOnlyList<DecoderConfig> shapes, int rows, int repetitions = 5)
    {
        ArgumentNullException.ThrowIfNull(shapes);
        var timers = shapes.Select(shape => new FusedStep(new BenchShape("sized", shape, rows, rows, shape.Context), Precision.Float32)).ToList();
        try
        {
            var seconds = shapes.Select(_ => new List<double>()).ToList();
            for (var run = 0; run <= repetitions; run++)
                for (var i = 0; i < timers.Count; i++)
                {
                    var time = timers[i].Run(run + 1).Total;
                    if (run > 0) seconds[i].Add(time);
                }
            return [.. shapes.Select((shape, i) => rows * shape.Context / seconds[i].Order().ElementAt(repetitions / 2))];
        }
        finally
        {
            foreach (var timer in timers) timer.Dispose();
        }
    }
}
