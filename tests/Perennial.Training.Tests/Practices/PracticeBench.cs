using Perennial.Data;
using Perennial.Models;
using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Training.Tests.Practices;

/// <summary>Lets a practice meet gradients and updates that a test makes up, as the loop would call it.</summary>
internal sealed class PracticeBench : IDisposable
{
    public const int Length = 7;
    public const long FirstSample = 1_000_000;
    private readonly FakeModel model;
    private readonly FakeServices services;
    private long step, stageStart;
    private int stage;

    public PracticeBench(IReadOnlyList<double> initial, Func<long, double[]>? gradientOf = null)
    {
        TorchRuntime.EnsureLoaded();
        Parameters = new FlatParameters(FlatLayout.Of([("model.layers.0.weight", [4], true), ("model.layers.1.weight", [3], true)]));
        Set(Parameters.Values, initial);
        model = new FakeModel(Parameters);
        services = new FakeServices(Parameters, gradientOf ?? (_ => new double[Length]));
    }

    public FlatParameters Parameters { get; }

    public long StageSteps { get; set; } = 1000;

    public IReadOnlyDictionary<string, double> Measured => services.Measured;

    public double[] Values => Get(Parameters.Values);

    public double[] Gradients => Get(Parameters.Gradients);

    private PracticeContext Context => new(model, step, 1000, 8, 5, services, new StageMoment(stage, 3, $"stage-{stage}", step - stageStart, StageSteps, (step - stageStart) * 4, false));

    /// <summary>One step: the loss's gradient, what the practice makes of it, plain descent, and the practice's turn after it. Returns the gradient that was descended.</summary>
    /// <param name="drift">What else moves every weight, such as momentum.</param>
    public double[] Step(IPractice practice, double[] gradient, double rate, double drift = 0)
    {
        practice.BeforeBatch(Context, new TokenBatch(1, 1) { Inputs = [0], Targets = [0], SampleIds = [step] });
        Set(Parameters.Gradients, gradient);
        practice.AfterBackward(Context);
        var used = Gradients;
        using (no_grad()) Parameters.Values.add_(Parameters.Gradients, alpha: -rate).add_(drift);
        step++;
        practice.AfterStep(Context);
        return used;
    }

    public void Evaluate(IPractice practice) => practice.AtInterval(Context);

    /// <summary>The samples of a step that was committed: one at every position from the given one on.</summary>
    public void Commit(IPractice practice, long position, int count) => practice.Committed(Context, position, [.. Enumerable.Range(0, count).Select(i => FirstSample + position + i)]);

    public void EndStage(IPractice practice)
    {
        practice.StageEnded(Context);
        (stage, stageStart) = (stage + 1, step);
    }

    public static void Set(Tensor target, IReadOnlyList<double> values)
    {
        using var _ = no_grad();
        using var made = tensor(values.Select(value => (float)value).ToArray());
        target.copy_(made);
    }

    public static double[] Get(Tensor values) => [.. values.data<float>().ToArray().Select(value => (double)value)];

    public void Dispose() => Parameters.Dispose();

    private sealed class FakeModel(FlatParameters parameters) : ILanguageModel
    {
        public DecoderConfig Config => throw new NotSupportedException();

        public FlatParameters Parameters => parameters;

        public Precision Precision => Precision.Float32;

        public DropoutKey? Dropout { get; set; }

        public string HeadName => throw new NotSupportedException();

        public Tensor Hidden(ModelInput input) => throw new NotSupportedException();

        public Tensor HeadWeight() => throw new NotSupportedException();

        public void ParametersChanged()
        {
        }

        public void Dispose()
        {
        }
    }

    private sealed class FakeServices(FlatParameters parameters, Func<long, double[]> gradientOf) : IPracticeServices
    {
        public IReadOnlyDictionary<string, double> Measured { get; private set; } = new Dictionary<string, double>();

        public void Evaluate(string weights)
        {
        }

        public void Notify(string level, string message)
        {
        }

        public void Measure(string what, IReadOnlyDictionary<string, double> figures) => Measured = figures;

        public TokenBatch ReadSamples(IReadOnlyList<long> ids) => new(ids.Count, 1) { Inputs = new long[ids.Count], Targets = new long[ids.Count], SampleIds = [.. ids] };

        // Ids of samples are beyond any position that a test reads at.
        public long SampleAt(int stage, long position) => FirstSample + position;

        // Two targets a window, one of them left out of the loss.
        public TokenBatch ReadStage(long position, int rows) => new(rows, 3) { Inputs = new long[3 * rows], Targets = [.. Enumerable.Repeat<long[]>([1, TokenBatch.Ignored, 2], rows).SelectMany(row => row)], SampleIds = [position] };

        public double Backward(TokenBatch batch)
        {
            Set(parameters.Gradients, gradientOf(batch.SampleIds[0]));
            return 0;
        }
    }
}
