using Perennial.Models;
using Perennial.Optimization;
using Perennial.Resilience.Layouts;
using Perennial.Resilience.Plans;
using Perennial.Tensors;
using Perennial.Training.Loop;

namespace Perennial.Training.Parallel;

/// <summary>
/// Scores held-out text under a parallel shape: at an evaluation the weights are copied by a plan onto a whole model of the leader, which
/// scores as a process alone does. Every rank makes the same calls.
/// </summary>
internal sealed class FixedHeldOut : IDisposable
{
    private readonly ParallelDecoder decoder;
    private readonly Lazy<Decoder>? whole;
    private readonly Lazy<HeldOutService>? scoring;
    private readonly Lazy<TransferPlan> plan;

    public FixedHeldOut(RunParts parts, ParallelDecoder decoder, Action<RunEvent> tell)
    {
        this.decoder = decoder;
        plan = new(() => TransferPlan.Between(decoder.Placement.Kept, new DecoderPlacement(parts.Config, ParallelShape.Single).Whole.Renumbered(decoder.Placement.Shape.Ranks, [0])));
        if (decoder.Rank != 0) return;
        // Made when something is scored: a part that goes over into another shape should not hold a whole model beside it.
        whole = new(() => new Decoder(parts.Config, parts.Model.Precision));
        scoring = new(() => new HeldOutService(parts, tell, whole.Value));
    }

    /// <summary>The leader's whole model, holding the weights of the last call; null on others.</summary>
    public ILanguageModel? Model => whole?.Value;

    /// <summary>Newest bits per byte of the raw weights; null where nothing was scored here.</summary>
    public double? BitsPerByte => scoring is { IsValueCreated: true } ? scoring.Value.BitsPerByte : null;

    /// <summary>Scores the present weights; the leader tells what was found.</summary>
    /// <exception cref="Resilience.Groups.CommunicatorException">A rank was lost.</exception>
    public void Evaluate(string weights)
    {
        Gather();
        scoring?.Value.Evaluate(weights);
    }

    /// <summary>Scores the weights that the optimizer means to be used in place of those it trains: each rank has them of what it updates.</summary>
    /// <exception cref="Resilience.Groups.CommunicatorException">A rank was lost.</exception>
    public void Evaluate(DerivedWeights derived, IReadOnlyList<Tensors.StateSlot> slots)
    {
        using var scope = TorchSharp.torch.NewDisposeScope();
        using var _ = TorchSharp.torch.no_grad();
        var own = decoder.Kept.Values.clone();
        try
        {
            var values = TorchSharp.torch.empty_like(decoder.Trained.Values);
            derived.Fill(decoder.Trained.Values, slots, values);
            decoder.Trained.Values.copy_(values);
            decoder.Publish();
            Evaluate(derived.Name);
        }
        finally
        {
            decoder.Kept.Values.copy_(own);
            decoder.Model.ParametersChanged();
        }
    }

    /// <summary>Brings the present weights onto the leader.</summary>
    /// <exception cref="Resilience.Groups.CommunicatorException">A rank was lost.</exception>
    public void Gather()
    {
        TransferExchange.Run(plan.Value, decoder.Groups.World, Bytes(decoder.Kept), whole is null ? FlatBytes.Of(Memory<byte>.Empty) : Bytes(whole.Value.Parameters));
        whole?.Value.ParametersChanged();
    }

    public void Dispose()
    {
        if (whole is { IsValueCreated: true }) whole.Value.Dispose();
    }

    private static FlatBytes Bytes(FlatParameters parameters) => FlatBytes.At(TensorMemory.Pointer(parameters.Values), parameters.Values.NumberOfElements * sizeof(float));
}
