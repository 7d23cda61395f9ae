using Perennial.Data;
using Perennial.Models;
using Perennial.Objectives;
using Perennial.Resilience.Groups;
using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Training.Parallel;

/// <summary>
/// One forward, one backward (1F1B, Narayanan et al. 2021): a stage runs ahead by as many micro-batches as there are stages behind it, then
/// takes a backward after every forward, so that no more activations live than there are stages. Messages go out on threads of their own:
/// neighbours that send to each other at once do not wait for each other.
/// </summary>
/// <param name="objective">The objective; the last stage computes it.</param>
/// <param name="model">This stage.</param>
/// <param name="group">The stages that work on the same rows.</param>
/// <param name="clock">Learns what is waiting, and where the head begins and ends.</param>
internal sealed class PipelinePasses(IObjective objective, Decoder model, Func<ICommunicator> group, StageClock clock) : IPasses
{
    private const uint Forwards = 11, Backwards = 12;

    public double Run(IReadOnlyList<TokenBatch> pieces, double normalizer, Action<TokenBatch> before, Action last)
    {
        if (pieces.Count == 0) return 0;
        var stages = group();
        var ahead = Math.Min(stages.Size - 1 - stages.Rank, pieces.Count);
        using var next = stages.Rank < stages.Size - 1 ? new Outbox(stages, stages.Rank + 1, Forwards) : null;
        using var previous = stages.Rank > 0 ? new Outbox(stages, stages.Rank - 1, Backwards) : null;
        var (flying, sum) = (new Queue<(StagePass Pass, StageInput? Input)>(), 0.0);
        try
        {
            for (var i = 0; i < pieces.Count + ahead; i++)
            {
                if (i < pieces.Count) before(pieces[i]);
                if (i < pieces.Count && next is null) sum += LastStage(pieces[i], normalizer, Receive(stages, pieces[i], stages.Rank - 1, Forwards), previous!, i == pieces.Count - 1 ? last : null);
                else if (i < pieces.Count) flying.Enqueue(Forward(pieces[i], previous is null ? null : Receive(stages, pieces[i], stages.Rank - 1, Forwards), next!));
                if (i < ahead || next is null) continue;
                var (pass, input) = flying.Dequeue();
                using (var gradient = Receive(stages, pieces[i - ahead], stages.Rank + 1, Backwards))
                {
                    if (i - ahead == pieces.Count - 1) last();
                    model.BackwardStage(pass, gradient);
                }
                Return(input, previous);
            }
            clock.Wait(() =>
            {
                next?.Flush();
                previous?.Flush();
            });
        }
        catch
        {
            // Messages that nobody will take must not keep their threads waiting.
            stages.Abort("a step broke");
            throw;
        }
        finally
        {
            foreach (var (_, input) in flying) input?.Stream.Dispose();
            model.Input = null;
        }
        return sum;
    }

    private (StagePass Pass, StageInput? Input) Forward(TokenBatch piece, Tensor? stream, Outbox next)
    {
        using var scope = NewDisposeScope();
        var input = model.Input = stream is null ? null : new StageInput(stream);
        var pass = model.ForwardStage(CausalObjective.Input(piece));
        next.Post(pass.Output);
        return (pass, input);
    }

    private double LastStage(TokenBatch piece, double normalizer, Tensor stream, Outbox previous, Action? last)
    {
        using var scope = NewDisposeScope();
        var input = model.Input = new StageInput(stream);
        var loss = objective.Loss(model, piece, normalizer);
        clock.LossDone();
        last?.Invoke();
        loss.backward();
        Return(input, previous);
        return loss.item<float>();
    }

    private static void Return(StageInput? input, Outbox? previous)
    {
        if (input is null) return;
        previous!.Post(input.Gradient!);
        input.Stream.Dispose();
    }

    private Tensor Receive(ICommunicator stages, TokenBatch piece, int from, uint tag)
    {
        var stream = empty((long)piece.Rows * piece.Time, model.Config.Width, dtype: ScalarType.Float32).DetachFromDisposeScope();
        try
        {
            clock.Wait(() => stages.Receive(TensorMemory.Address<float>(stream), stream.NumberOfElements, ElementType.Float32, from, new CallOptions(tag)));
            return stream;
        }
        catch
        {
            stream.Dispose();
            throw;
        }
    }
}
