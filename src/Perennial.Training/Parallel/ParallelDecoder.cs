using Perennial.Core;
using Perennial.Models;
using Perennial.Optimization;
using Perennial.Resilience.Groups;
using Perennial.Resilience.Layouts;
using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Training.Parallel;

/// <summary>
/// One rank's part of a decoder under a parallel shape: the model it computes, the flat parameters that its optimizer moves (all of them, or
/// under ZeRO its piece), and the communication that makes the step of all ranks the step of one.
/// </summary>
public sealed class ParallelDecoder : IDisposable
{
    private readonly Range64[] counted, shared;
    private readonly long[] pieces;
    private readonly Tensor? reduced;
    private readonly DataWindow? window;
    private ParallelGroups? groups;

    /// <summary>A rank's part, over zeroed parameters.</summary>
    /// <param name="placement">Where everything is.</param>
    /// <param name="rank">The rank.</param>
    /// <param name="precision">Precision of matrix products.</param>
    /// <param name="execution">How the decoder computes.</param>
    /// <exception cref="PerennialException">Exit 2: a part of this model does not fit the kernels.</exception>
    public ParallelDecoder(DecoderPlacement placement, int rank, Precision precision = Precision.Float32, DecoderExecution? execution = null)
    {
        ArgumentNullException.ThrowIfNull(placement);
        (Placement, Rank, Place) = (placement, rank, placement.Shape.CoordinatesOf(rank));
        window = placement.Shape.Zero == 3 ? new DataWindow(this) : null;
        Model = new Decoder(placement.Shard(rank, new GroupPeers(Place.Tensor, placement.Shape.Tensor, () => Groups, Clock), window), precision, execution);
        Model.HiddenDone = Clock.HiddenDone;
        var local = Model.Parameters.Layout;
        (counted, shared, pieces) = ([.. placement.Counted(rank, local)], [.. placement.Shared(local)], [.. placement.Pieces(rank)]);
        if (placement.Shape.Zero == 0)
        {
            (Piece, Trained) = (new(0, local.Length), Model.Parameters);
            return;
        }
        var start = pieces.Take(Place.Data).Sum();
        Piece = new(start, start + pieces[Place.Data]);
        reduced = HugePages.Zeros(Piece.Length);
        var values = window is null ? Model.Parameters.Values.narrow(0, Piece.Start, Piece.Length).DetachFromDisposeScope() : HugePages.Zeros(Piece.Length);
        Trained = FlatParameters.Over(local.Slice(Piece.Start, Piece.Length), values, reduced);
    }

    /// <summary>Where everything is.</summary>
    public DecoderPlacement Placement { get; }

    /// <summary>This rank.</summary>
    public int Rank { get; }

    /// <summary>Its place in the shape.</summary>
    public RankCoordinates Place { get; }

    /// <summary>What this rank computes.</summary>
    public Decoder Model { get; }

    /// <summary>What this rank's optimizer moves; its gradients are those of the whole batch after <see cref="Reduce()"/>.</summary>
    public FlatParameters Trained { get; }

    /// <summary>The weights that this rank keeps between steps: all that it computes with, or under ZeRO 3 its piece.</summary>
    public FlatParameters Kept => window is null ? Model.Parameters : Trained;

    /// <summary>Where <see cref="Trained"/> lies in the model's buffer.</summary>
    public Range64 Piece { get; }

    /// <summary>Whether losses are computed here (the last stage, one of each tensor group).</summary>
    public bool CountsLoss => Place.Pipeline == Placement.Shape.Pipeline - 1 && Place.Tensor == 0;

    /// <summary>What this rank's share of a step takes by itself.</summary>
    internal StageClock Clock { get; } = new();

    internal ParallelGroups Groups => groups ?? throw new InvalidOperationException("no group was joined");

    /// <summary>Meets the other ranks; every rank of the world calls it. The world is this object's from here on.</summary>
    /// <exception cref="CommunicatorException">The world broke.</exception>
    public void Join(ICommunicator world)
    {
        ArgumentNullException.ThrowIfNull(world);
        if (world.Size != Placement.Shape.Ranks || world.Rank != Rank) throw new ArgumentException($"rank {world.Rank} of {world.Size} cannot be rank {Rank} of {Placement.Shape}", nameof(world));
        Leave();
        window?.Forget();
        groups = ParallelGroups.Form(world, Placement);
    }

    /// <summary>Leaves the others at once, so that they notice.</summary>
    public void Leave() => Interlocked.Exchange(ref groups, null)?.Dispose();

    /// <summary>The ranks that a failed call may have meant by a number: it is the one in whichever group the call was made.</summary>
    internal IEnumerable<int> Suspects(int peer)
    {
        var shape = Placement.Shape;
        var ranks = new List<int>();
        if (peer < shape.Ranks) ranks.Add(peer);
        if (peer < shape.Data) ranks.Add(shape.RankOf(Place with { Data = peer }));
        if (peer < shape.Tensor) ranks.Add(shape.RankOf(Place with { Tensor = peer }));
        if (peer < shape.Pipeline) ranks.Add(shape.RankOf(Place with { Pipeline = peer }));
        return ranks.Distinct().Where(rank => rank != Rank);
    }

    /// <summary>Whether <see cref="Reduce()"/> has something to add up: under ZeRO 3 every layer's gradient is taken over when its backward is done.</summary>
    public bool AddsUp => window is null;

    /// <summary>Adds up over the ranks what each computed of the gradient: shared heads, a tied embedding, then the data ranks.</summary>
    /// <exception cref="CommunicatorException">A rank was lost; the gradient holds nothing of use, the state is untouched.</exception>
    public void Reduce()
    {
        if (AddsUp) Reduce(new(0, Model.Parameters.Layout.Length));
        Complete();
    }

    /// <summary>Adds up one stretch of the gradient, whole entries; every rank reduces the same stretches in the same order.</summary>
    /// <exception cref="CommunicatorException">A rank was lost.</exception>
    internal void Reduce(Range64 range)
    {
        var gradients = TensorMemory.Address<float>(Model.Parameters.Gradients);
        if (Groups.KeySharers is { } sharers)
            foreach (var common in shared.Select(part => part.Common(range)).Where(part => part.Length > 0)) sharers.AllReduce(At(gradients, common.Start), common.Length, ElementType.Float32);
        if (Groups.Tied is { } ends && Model.Parameters.Layout[Model.HeadName] is var embedding && embedding.Offset >= range.Start && embedding.Offset < range.End)
            ends.AllReduce(At(gradients, embedding.Offset), embedding.Length, ElementType.Float32);
        if (reduced is null)
        {
            if (Groups.Data.Size > 1) Groups.Data.AllReduce(At(gradients, range.Start), range.Length, ElementType.Float32);
            return;
        }
        var mine = Piece.Common(range);
        Groups.Data.ReduceScatter(At(gradients, range.Start), At(TensorMemory.Address<float>(reduced), mine.Length > 0 ? mine.Start - Piece.Start : 0), Counts(range), ElementType.Float32);
    }

    /// <summary>Nothing more comes to this step's gradient.</summary>
    internal void Complete() => window?.Complete();

    /// <summary>Norm of the gradient of the whole model, the same bits on every rank; after <see cref="Reduce()"/>.</summary>
    /// <exception cref="CommunicatorException">A rank was lost.</exception>
    public GradientNorm Norm()
    {
        var squares = 0.0;
        // Without ZeRO all data ranks have the same gradient: the first counts.
        if (reduced is not null || Place.Data == 0)
            foreach (var range in counted)
            {
                var mine = range.Common(Piece);
                if (mine.Length == 0) continue;
                using var part = Trained.Gradients.narrow(0, mine.Start - Piece.Start, mine.Length);
                squares += GradientNorm.SquaresOf(part);
            }
        double[] sum = [squares];
        Groups.World.AllReduce<double>(sum);
        return new(Math.Sqrt(sum[0]));
    }

    /// <summary>After the optimizer's step: everyone gets the weights that others moved.</summary>
    /// <exception cref="CommunicatorException">A rank was lost; the weights are of two steps.</exception>
    public void Publish()
    {
        if (window is not null) return;
        if (reduced is not null)
        {
            var values = TensorMemory.Address<float>(Model.Parameters.Values);
            Groups.Data.AllGather(At(values, Piece.Start), values, pieces, ElementType.Float32);
        }
        Model.ParametersChanged();
    }

    /// <summary>Fills the weights as a fresh model of this configuration has them, whatever the shape (see <see cref="DecoderInitializer"/>).</summary>
    public void Initialize(ulong seed) => Fill(index => DecoderInitializer.Values(Placement.Global, index, Placement.Config, seed));

    /// <summary>Fills the weights from whole tensors, one at a time.</summary>
    /// <param name="values">All values of a tensor by its number in <see cref="DecoderPlacement.Global"/>.</param>
    public void Fill(Func<int, ReadOnlyMemory<float>> values)
    {
        DecoderPlacement.Fill(Rank, Placement.Kept, TensorMemory.Address<float>(Kept.Values), values);
        Model.ParametersChanged();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Leave();
        if (!ReferenceEquals(Trained, Model.Parameters)) Trained.Dispose();
        Model.Dispose();
    }

    /// <summary>The weights of all data ranks, a stretch at a time, and their gradients back to who keeps them.</summary>
    private sealed class DataWindow(ParallelDecoder owner) : IParameterWindow
    {
        private bool isFresh = true;

        /// <summary>What was collected belongs to a step that broke.</summary>
        public void Forget() => isFresh = true;

        /// <summary>The step's gradient is complete; the next collection begins anew.</summary>
        public void Complete()
        {
            if (isFresh) owner.reduced!.zero_();
            isFresh = true;
        }

        public void Open(long first, long length)
        {
            var values = TensorMemory.Address<float>(owner.Model.Parameters.Values);
            var mine = owner.Piece.Common(new(first, first + length));
            var own = TensorMemory.Address<float>(owner.Trained.Values);
            owner.Clock.Wait(() => owner.Groups.Data.AllGather(At(own, mine.Length > 0 ? mine.Start - owner.Piece.Start : 0), At(values, first), owner.Counts(new(first, first + length)), ElementType.Float32));
        }

        public void Close(long first, long length) => HugePages.Release(owner.Model.Parameters.Values, first, length, zero: false);

        public void Collect(long first, long length)
        {
            using var scope = NewDisposeScope();
            using var noGradient = no_grad();
            if (isFresh) owner.reduced!.zero_();
            isFresh = false;
            var range = new Range64(first, first + length);
            var gradients = TensorMemory.Address<float>(owner.Model.Parameters.Gradients);
            if (owner.Groups.KeySharers is { } sharers)
                foreach (var common in owner.shared.Select(part => part.Common(range)).Where(part => part.Length > 0)) sharers.AllReduce(At(gradients, common.Start), common.Length, ElementType.Float32);
            var mine = owner.Piece.Common(range);
            var sum = empty(Math.Max(1, mine.Length), ScalarType.Float32);
            owner.Clock.Wait(() => owner.Groups.Data.ReduceScatter(At(gradients, first), TensorMemory.Address<float>(sum), owner.Counts(range), ElementType.Float32));
            if (mine.Length > 0) owner.reduced!.narrow(0, mine.Start - owner.Piece.Start, mine.Length).add_(sum);
            HugePages.Release(owner.Model.Parameters.Gradients, first, length, zero: true);
        }
    }

    /// <summary>What each data rank has of a stretch.</summary>
    private long[] Counts(Range64 range)
    {
        var (counts, start) = (new long[pieces.Length], 0L);
        for (var rank = 0; rank < counts.Length; rank++)
        {
            counts[rank] = new Range64(start, start + pieces[rank]).Common(range).Length;
            start += pieces[rank];
        }
        return counts;
    }

    private static nint At(nint start, long element) => start + (nint)(element * sizeof(float));
}
