using Perennial.Core;
using Perennial.Core.Recipes;
using Perennial.Tensors;
using Perennial.Training.Loop;
using Perennial.Training.Memory;
using Perennial.Training.Parallel;
using Perennial.Training.Recipes;
using TorchSharp;

namespace Perennial.Training.Runs;

/// <summary>What a caller decides about a run beside its recipe.</summary>
public sealed record TrainingRunOptions
{
    /// <summary>Where the run lives.</summary>
    public required string RunFolder { get; init; }

    /// <summary>Whether to start over, removing what an earlier run left in the folder.</summary>
    public bool Fresh { get; init; }

    /// <summary>Measures the matrix-product ceiling in FLOP/s, for MFU; null leaves it unknown (0).</summary>
    public Func<Precision, double>? MeasureCeiling { get; init; }

    /// <summary>Whether compressors are measured on the held-out text, for the report.</summary>
    public bool Yardsticks { get; init; }

    /// <summary>The other processes of the run; null for one process alone.</summary>
    public ParallelSettings? Parallel { get; init; }

    /// <summary>Where the newest state outlives the trainers; null where only checkpoints do.</summary>
    public MemorySettings? Memory { get; init; }

    /// <summary>Stop (as if interrupted) after this many committed steps of the whole run; for proofs of exact resume.</summary>
    public long? StopAtStep { get; init; }
}

/// <summary>A run of one process.</summary>
internal interface IRunSession : IDisposable
{
    /// <summary>Trains to the planned end or until cancelled; either way the state is on disk when it returns.</summary>
    RunResult Run();
}

/// <summary>The one entry point: trains a recipe in a folder, from the beginning or from where it stopped.</summary>
/// <param name="components">Components that recipes may name.</param>
public sealed class TrainingRun(ComponentRegistry components)
{
    /// <summary>Trains to the planned end or until cancelled; either way the state is on disk when it returns.</summary>
    /// <param name="recipe">The bound recipe.</param>
    /// <param name="options">Folder and the like.</param>
    /// <param name="observers">Told of every event, in order.</param>
    /// <param name="cancellation">Finishes the step under way, saves, and returns with <see cref="RunResult.Completed"/> false.</param>
    /// <exception cref="PerennialException">As the exit codes say; older checkpoints always stand.</exception>
    public RunResult Execute(Recipe recipe, TrainingRunOptions options, IReadOnlyList<IRunObserver> observers, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(observers);
        void Tell(RunEvent happened)
        {
            foreach (var observer in observers) observer.Observe(happened);
        }
        var folder = new RunFolder(options.RunFolder);
        var stored = options.Fresh ? null : folder.StoredRecipe(new RecipeLoader(components));
        var resolved = RecipeResolution.Resolve(recipe, stored, Bfloat16.IsNative);
        if (stored is not null) RecipeResolution.RequireSame(stored, resolved, folder.Path);
        // A run that has begun does not need what it began with.
        if (stored is null && resolved.Stages is [{ From: { } from }, ..]) AdoptedStage.Locate(from, line => Tell(new Notice("warning", line)));
        if (options.Parallel is not null && resolved.Training.OnSpike.Action == SpikeAction.RollBack)
            throw PerennialException.Usage("training.on-spike: roll-back needs one process alone (a newcomer has no snapshot to go back to); choose skip, lower-rate or stop");
        if (options.Parallel is not null && resolved.Training.PerLayer)
            throw PerennialException.Usage("training.per-layer: needs one process alone (several add their whole gradients up); leave it out, or train without launch");
        torch.set_num_threads(resolved.Training.Threads!.Value);
        var place = ParallelPlace.Of(resolved, options.Parallel);
        using var parts = RunParts.Make(resolved, line => Tell(new Notice("info", line)), cancellation, place);
        try
        {
            long? earlierSteps = stored is null ? null : RunExtension.StepsOf(stored, parts);
            using IRunSession session = place is null
                ? new RunSession(parts, folder, options, Tell, earlierSteps, cancellation)
                : new FixedSession(parts, folder, options, Tell, earlierSteps, cancellation);
            return session.Run();
        }
        catch (Exception error) when (FileErrors.Is(error))
        {
            throw PerennialException.Failed($"{folder.Path}: the run folder cannot be written: {error.Message}", error);
        }
    }
}
