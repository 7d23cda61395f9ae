using System.Text.Json.Nodes;
using Perennial.Core;
using Perennial.Data;
using Perennial.Models;
using Perennial.Tensors;

namespace Perennial.Training;

/// <summary>What a practice sees at a hook.</summary>
/// <param name="Model">The model; its flat values and gradients may be read, and changed where the hook says so.</param>
/// <param name="Step">Finished steps (at <see cref="IPractice.AfterStep"/>, this step included).</param>
/// <param name="TotalSteps">Planned steps.</param>
/// <param name="TokensPerStep">Tokens of one step.</param>
/// <param name="Seed">The run's seed.</param>
/// <param name="Services">What the loop offers: evaluation, notices.</param>
/// <param name="Stage">Where in which stage the run is.</param>
public sealed record PracticeContext(ILanguageModel Model, long Step, long TotalSteps, long TokensPerStep, ulong Seed, IPracticeServices Services, StageMoment Stage);

/// <summary>Where in which stage a run is. A run without stages is one stage.</summary>
/// <param name="Index">Number of the stage, from 0.</param>
/// <param name="Count">Stages of the run.</param>
/// <param name="Name">Its name; empty for a run without stages.</param>
/// <param name="Step">Finished steps of the stage.</param>
/// <param name="Steps">Planned steps of the stage.</param>
/// <param name="Cursor">Samples that the stage has read: the position of its next one.</param>
/// <param name="IsBranch">Whether its end is left again.</param>
public sealed record StageMoment(int Index, int Count, string Name, long Step, long Steps, long Cursor, bool IsBranch);

/// <summary>What the loop does for practices.</summary>
public interface IPracticeServices
{
    /// <summary>Scores the model's present weights on the held-out text and tells observers under the given name of weights.</summary>
    void Evaluate(string weights);

    /// <summary>Tells observers a line.</summary>
    void Notify(string level, string message);

    /// <summary>Tells observers figures that a practice measured itself (name → value in snake case).</summary>
    void Measure(string what, IReadOnlyDictionary<string, double> figures);

    /// <summary>Reads samples by identity, of whatever stage.</summary>
    TokenBatch ReadSamples(IReadOnlyList<long> ids);

    /// <summary>The identity of the sample at a position of a stage's stream.</summary>
    long SampleAt(int stage, long position);

    /// <summary>The samples at positions of the present stage's stream.</summary>
    TokenBatch ReadStage(long position, int rows);

    /// <summary>The gradient of a batch's mean loss at the present weights, in the flat gradient; returns the loss, nats a target.</summary>
    double Backward(TokenBatch batch);
}

/// <summary>
/// A hook into the one loop. Constructor services: its options, <see cref="FlatParameters"/>. Everything it remembers
/// between steps is in <see cref="Slots"/> and <see cref="Save"/>, so it survives faults like the weights do.
/// </summary>
[ComponentRole("practice")]
public interface IPractice : IDisposable
{
    /// <summary>Flat state of the practice.</summary>
    IReadOnlyList<StateSlot> Slots { get; }

    /// <summary>Small state of the practice; null for none.</summary>
    JsonObject? Save();

    /// <summary>Takes small state back.</summary>
    void Load(JsonObject state);

    /// <summary>
    /// How many of a step's rows are to be new ones from the stream: <paramref name="rows"/>, or fewer where <see cref="BeforeBatch"/> adds others.
    /// A pure function of the stage's step and of the practice's state.
    /// </summary>
    int FreshRows(PracticeContext context, int rows) => rows;

    /// <summary>May replace or add to the batch that the stream gave (replay, mixing); the step's rows must come out.</summary>
    TokenBatch BeforeBatch(PracticeContext context, TokenBatch batch);

    /// <summary>May read or change the flat gradient, before the finite test and the clip.</summary>
    void AfterBackward(PracticeContext context);

    /// <summary>After a committed step: may average, interpolate or reset weights and its slots.</summary>
    void AfterStep(PracticeContext context);

    /// <summary>Sees which new samples every committed step trained on, in every stage, also in those that do not name the practice.</summary>
    /// <param name="context">The moment after the step.</param>
    /// <param name="position">Position of the first in the stage's stream; the others follow.</param>
    /// <param name="samples">Their identities.</param>
    void Committed(PracticeContext context, long position, IReadOnlyList<long> samples) { }

    /// <summary>A stage is finished and another follows; called for every practice of the run. May look at gradients, and change its own state.</summary>
    void StageEnded(PracticeContext context) { }

    /// <summary>At every evaluation point: may evaluate other weights or report.</summary>
    void AtInterval(PracticeContext context);

    /// <summary>Weights that belong beside the raw ones in a checkpoint (name → flat values), such as an average; empty for none.</summary>
    IReadOnlyList<StateSlot> Exports { get; }
}

/// <summary>Options of a practice that fills a part of every batch with other samples than the stream's next ones.</summary>
public interface IFillsBatch
{
    /// <summary>Share of a stage's rows that are new ones in the mean, where the stage's tokens are to count new ones only; 1 where they count all.</summary>
    double FreshShare(int stage);
}

/// <summary>
/// Marks a practice that works where a process has a part of the model only: its slots have one number a parameter of that part, it takes
/// nothing from the gradient, and it makes the same calls on every process. Others are refused under a parallel shape that cuts the model or its state.
/// </summary>
public interface IPartwisePractice : IPractice;
