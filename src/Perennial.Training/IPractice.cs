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
public sealed record PracticeContext(ILanguageModel Model, long Step, long TotalSteps, long TokensPerStep, ulong Seed, IPracticeServices Services);

/// <summary>What the loop does for practices.</summary>
public interface IPracticeServices
{
    /// <summary>Scores the model's present weights on the held-out text and tells observers under the given name of weights.</summary>
    void Evaluate(string weights);

    /// <summary>Tells observers a line.</summary>
    void Notify(string level, string message);
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

    /// <summary>May replace the batch that the stream gave (replay, mixing).</summary>
    TokenBatch BeforeBatch(PracticeContext context, TokenBatch batch);

    /// <summary>May read or change the flat gradient, before the finite test and the clip.</summary>
    void AfterBackward(PracticeContext context);

    /// <summary>After a committed step: may average, interpolate or reset weights and its slots.</summary>
    void AfterStep(PracticeContext context);

    /// <summary>At every evaluation point: may evaluate other weights or report.</summary>
    void AtInterval(PracticeContext context);

    /// <summary>Weights that belong beside the raw ones in a checkpoint (name → flat values), such as an average; empty for none.</summary>
    IReadOnlyList<StateSlot> Exports { get; }
}
