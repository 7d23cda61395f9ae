using Perennial.Models;
using Perennial.Resilience.Groups;
using Perennial.Resilience.Layouts;
using Perennial.Tensors;
using TorchSharp;

namespace Perennial.Training.Parallel;

/// <summary>The groups that one process of a parallel shape belongs to. All are made from the world, and end with it.</summary>
internal sealed class ParallelGroups : IDisposable
{
    private ParallelGroups(ICommunicator world) => World = world;

    /// <summary>Everybody, by rank of the shape.</summary>
    public ICommunicator World { get; }

    /// <summary>Who has the same part of the model and other rows of the batch, by data index.</summary>
    public required ICommunicator Data { get; init; }

    /// <summary>Who computes the same layers on the same rows, by tensor index.</summary>
    public required ICommunicator Tensor { get; init; }

    /// <summary>Who computes the other layers on the same rows, by stage.</summary>
    public required ICommunicator Pipeline { get; init; }

    /// <summary>The first and the last stage, where they share one embedding; null elsewhere.</summary>
    public ICommunicator? Tied { get; init; }

    /// <summary>Who has the same key and value heads; null where nobody shares.</summary>
    public ICommunicator? KeySharers { get; init; }

    /// <summary>Splits the world; every rank of the shape calls it at once.</summary>
    /// <param name="world">As many ranks as the shape has, in its order.</param>
    /// <param name="placement">The shape and what it means for the model.</param>
    /// <exception cref="CommunicatorException">The world broke.</exception>
    public static ParallelGroups Form(ICommunicator world, DecoderPlacement placement)
    {
        var shape = placement.Shape;
        var (data, tensor, stage) = shape.CoordinatesOf(world.Rank);
        var isEnd = placement.IsTiedOverStages && (stage == 0 || stage == shape.Pipeline - 1);
        return new(world)
        {
            Data = world.Split(stage * shape.Tensor + tensor, data)!,
            Tensor = world.Split(stage * shape.Data + data, tensor)!,
            Pipeline = world.Split(data * shape.Tensor + tensor, stage)!,
            Tied = placement.IsTiedOverStages ? world.Split(isEnd ? data * shape.Tensor + tensor : -1, stage) : null,
            KeySharers = placement.KeySharers > 1 ? world.Split((stage * shape.Data + data) * shape.Tensor + tensor / placement.KeySharers, tensor) : null,
        };
    }

    /// <summary>Leaves all groups at once.</summary>
    public void Dispose() => World.Dispose();
}

/// <summary>The tensor group as the model sees it. The groups behind it change after a loss; the model keeps this.</summary>
/// <param name="rank">The tensor index.</param>
/// <param name="size">The tensor degree.</param>
/// <param name="groups">The present groups.</param>
/// <param name="clock">Learns what is waiting.</param>
internal sealed class GroupPeers(int rank, int size, Func<ParallelGroups> groups, StageClock clock) : ITensorPeers
{
    public int Rank => rank;

    public int Size => size;

    public void Sum(torch.Tensor partial)
    {
        if (size == 1) return;
        clock.Wait(() => groups().Tensor.AllReduce(TensorMemory.Pointer(partial), partial.NumberOfElements, TypeOf(partial)));
    }

    public void Sum(Span<double> values)
    {
        if (size == 1) return;
        var start = clock.Now;
        groups().Tensor.AllReduce(values);
        clock.Waited(start);
    }

    public void Max(Span<double> values)
    {
        if (size == 1) return;
        var start = clock.Now;
        groups().Tensor.AllReduce(values, Reduction.Max);
        clock.Waited(start);
    }

    private static ElementType TypeOf(torch.Tensor tensor) => tensor.dtype == torch.ScalarType.BFloat16 ? ElementType.BFloat16 : ElementType.Float32;
}
