using System.Diagnostics;
using Perennial.Models;
using Perennial.Optimization;
using Perennial.Resilience.Groups;
using Perennial.Training.Parallel.Policies;
using TorchSharp;

namespace Perennial.Training.Parallel;

/// <summary>The processes of a parallel shape as the loop sees them: data ranks take rows, everyone takes every step.</summary>
/// <param name="decoder">This rank's part.</param>
/// <param name="epoch">The membership's number.</param>
/// <param name="hasNews">Whether a newer membership is known that is to be gone over to at the step's end.</param>
/// <param name="canSnapshot">Whether this process can take part in a snapshot of the step under way.</param>
internal sealed class FixedReplicas(ParallelDecoder decoder, Func<long> epoch, Func<bool> hasNews, Func<bool> canSnapshot) : IReplicas
{
    public bool IsLeader => decoder.Rank == 0;

    public long Epoch => epoch();

    public int Rank => decoder.Place.Data;

    /// <summary>When the exchange of the present step began; 0 before the first.</summary>
    public long Called { get; private set; }

    /// <summary>Whether this rank's state is of no step, and only a saved one helps: a step broke after the optimizer had moved, or the state was being replaced.</summary>
    public bool IsTorn { get; set; }

    public StepShares Shares(int rows) => new([.. ParallelShares.Of(rows, decoder.Placement.Shape.Data).Select(range => (IReadOnlyList<Range>)[range])]);

    public bool AddsUp => decoder.AddsUp;

    public void Reduce(torch.Tensor gradients, Range64 range, ExactSums? exact) => decoder.Reduce(range);

    public StepAgreement Exchange(StepWork work, bool stop)
    {
        Called = Stopwatch.GetTimestamp();
        work.Buckets?.Wait();
        decoder.Complete();
        double[] small = [decoder.CountsLoss ? work.Loss : 0, stop ? 1 : 0, canSnapshot() ? 1 : 0, hasNews() ? 1 : 0];
        decoder.Groups.World.AllReduce<double>(small);
        return new(small[0], small[1] > 0, small[3] > 0, Snapshot: small[2] >= decoder.Groups.World.Size);
    }

    public GradientNorm Norm(torch.Tensor gradients) => decoder.Norm();

    public void Moved(ILanguageModel model)
    {
        // From the optimizer's step until everyone has the new weights this rank's state is of no step.
        IsTorn = true;
        decoder.Publish();
        IsTorn = false;
    }

    public double[] Agree(double[] mine)
    {
        decoder.Groups.World.Broadcast<double>(mine, root: 0);
        return mine;
    }

    public void Await() => decoder.Groups.World.Barrier();

    public void Dispose() => decoder.Leave();
}
