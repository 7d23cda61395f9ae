using System.Diagnostics;
using Perennial.Data;
using Perennial.Models;
using Perennial.Objectives;
using Perennial.Optimization;
using Perennial.Tensors;
using Perennial.Training.State;
using TorchSharp;
using static TorchSharp.torch;

namespace Perennial.Training.Bench;

/// <summary>Where one step's time went, in seconds.</summary>
/// <param name="Forward">Forward passes; the fused head makes its gradients here.</param>
/// <param name="Backward">Backward passes.</param>
/// <param name="Optimizer">Finite test, norm, clip, update, and the refresh of rounded weights.</param>
/// <param name="ManagedBytes">Bytes of managed memory allocated.</param>
public readonly record struct StepTime(double Forward, double Backward, double Optimizer, long ManagedBytes)
{
    /// <summary>The whole step.</summary>
    public double Total => Forward + Backward + Optimizer;
}

/// <summary>Makes training steps of a shape on made-up tokens and times them.</summary>
internal abstract class StepTimer : IDisposable
{
    private readonly TokenBatch[] batches;

    protected StepTimer(BenchShape shape)
    {
        Shape = shape;
        batches = [.. Enumerable.Range(0, shape.Rows / shape.MicroRows).Select(index => Batch(shape, index))];
    }

    protected BenchShape Shape { get; }

    /// <summary>Called between backward and update; its time is the optimizer's.</summary>
    public Action? BeforeUpdate { get; set; }

    /// <summary>One step.</summary>
    public StepTime Run(long step)
    {
        var bytes = GC.GetAllocatedBytesForCurrentThread();
        double forward = 0, backward = 0;
        Begin();
        foreach (var batch in batches)
        {
            using var scope = NewDisposeScope();
            var start = Stopwatch.GetTimestamp();
            var loss = Loss(batch, Shape.Tokens);
            forward += Stopwatch.GetElapsedTime(start).TotalSeconds;
            start = Stopwatch.GetTimestamp();
            loss.backward();
            backward += Stopwatch.GetElapsedTime(start).TotalSeconds;
        }
        var update = Stopwatch.GetTimestamp();
        BeforeUpdate?.Invoke();
        using (NewDisposeScope()) Update(step);
        var optimizer = Stopwatch.GetElapsedTime(update).TotalSeconds;
        return new(forward, backward, optimizer, GC.GetAllocatedBytesForCurrentThread() - bytes);
    }

    public abstract void Dispose();

    protected abstract void Begin();

    protected abstract Tensor Loss(TokenBatch batch, double normalizer);

    protected abstract void Update(long step);

    private static TokenBatch Batch(BenchShape shape, int index)
    {
        var random = new Random(index);
        var ids = Enumerable.Range(0, shape.MicroRows * shape.Time + 1).Select(_ => (long)random.Next(shape.Config.Vocabulary)).ToArray();
        return new TokenBatch(shape.MicroRows, shape.Time) { Inputs = ids[..^1], Targets = ids[1..], SampleIds = new long[shape.MicroRows] };
    }
}

/// <summary>The step as Perennial trains.</summary>
internal sealed class FusedStep : StepTimer
{
    private readonly Decoder model;
    private readonly IOptimizer optimizer;
    private readonly CausalObjective objective = new();

    public FusedStep(BenchShape shape, Precision precision, Func<FlatParameters, IOptimizer>? make = null)
        : base(shape)
    {
        model = Decoder.Fresh(shape.Config, 1, precision);
        optimizer = make?.Invoke(model.Parameters) ?? new AdamW(new AdamWOptions(), model.Parameters);
        State = new TrainingState(model.Parameters, optimizer.Slots);
    }

    /// <summary>The state that the steps move.</summary>
    public TrainingState State { get; }

    public override void Dispose()
    {
        optimizer.Dispose();
        model.Dispose();
    }

    protected override void Begin() => model.Parameters.ClearGradients();

    protected override Tensor Loss(TokenBatch batch, double normalizer) => objective.Loss(model, batch, normalizer);

    protected override void Update(long step)
    {
        model.Parameters.CompleteGradients();
        var norm = GradientNorm.Of(model.Parameters.Gradients);
        if (!norm.IsFinite) throw new InvalidOperationException("the benchmark's gradients are not finite");
        optimizer.Step(step, 1e-4, norm.ClipScale(1));
        model.ParametersChanged();
    }
}

/// <summary>The step as one would write it first: composed operators, whole logits, TorchSharp's AdamW and clipping, float32.</summary>
internal sealed class PlainStep : StepTimer
{
    private readonly PlainDecoder model;
    private readonly List<TorchSharp.Modules.Parameter> parameters;
    private readonly TorchSharp.Modules.AdamW optimizer;

    public PlainStep(BenchShape shape)
        : base(shape)
    {
        model = new PlainDecoder(shape.Config, Precision.Float32);
        DecoderInitializer.Fill(model.Parameters, shape.Config, 1);
        // TorchSharp's optimizer wants Parameters: the same memory as the model's leaves, the same gradients.
        parameters = [.. model.Parameters.Layout.Entries.Select(entry =>
        {
            using var view = model.Parameters.Value(entry.Name);
            var parameter = new TorchSharp.Modules.Parameter(view.detach());
            parameter.grad = model.Parameters.Gradient(entry.Name);
            return (TorchSharp.Modules.Parameter)parameter.DetachFromDisposeScope();
        })];
        optimizer = optim.AdamW(parameters, 1e-4, 0.9, 0.95, 1e-8, 0.1);
    }

    public override void Dispose()
    {
        optimizer.Dispose();
        foreach (var parameter in parameters) parameter.Dispose();
        model.Parameters.Dispose();
        model.Dispose();
    }

    protected override void Begin() => model.Parameters.Gradients.zero_();

    protected override Tensor Loss(TokenBatch batch, double normalizer)
    {
        var hidden = model.Hidden(new ModelInput(tensor(batch.Inputs, batch.Rows, batch.Time), null));
        var logits = matmul(hidden.view(-1, Shape.Config.Width), model.HeadWeight().t());
        return nn.functional.cross_entropy(logits, tensor(batch.Targets), reduction: nn.Reduction.Sum) / normalizer;
    }

    protected override void Update(long step)
    {
        nn.utils.clip_grad_norm_(parameters, 1.0);
        optimizer.step();
    }
}
