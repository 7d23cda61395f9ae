using Perennial.Core;
using Perennial.Core.Recipes;
using Perennial.Training.Bench;
using Perennial.Resilience;
using Perennial.Tensors;
using Perennial.Training.Checkpoints;
using Perennial.Training.Loop;
using Perennial.Training.Practices;
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

    /// <summary>Stop (as if interrupted) after this many committed steps of the whole run; for proofs of exact resume.</summary>
    public long? StopAtStep { get; init; }
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
        torch.set_num_threads(resolved.Training.Threads!.Value);
        using var parts = RunParts.Make(resolved, line => Tell(new Notice("info", line)), cancellation);
        try
        {
            using var turn = folder.Open();
            if (options.Fresh) folder.Clear();
            folder.WriteRecipe(resolved);
            return Train(parts, folder, options, Tell, cancellation);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw PerennialException.Failed($"{folder.Path}: the run folder cannot be written: {error.Message}", error);
        }
    }

    private static RunResult Train(RunParts parts, RunFolder folder, TrainingRunOptions options, Action<RunEvent> tell, CancellationToken cancellation)
    {
        var store = folder.Checkpoints;
        Directory.CreateDirectory(store.Root);
        store.Clean();
        var durable = Resume(parts, store, tell);
        var service = new HeldOutService(parts, tell);
        var loop = new TrainingLoop(parts, service, tell);
        using var writer = new CheckpointWriter(parts, store, durable);
        try
        {
            if (durable >= 0) loop.RestorePractices();
            else loop.RememberPractices();
            var ceiling = options.MeasureCeiling?.Invoke(parts.Model.Precision) ?? 0;
            var flops = TrainingFlops.PerToken(parts.Config, parts.Config.Context);
            tell(new RunStarted(folder.Path, RecipeWriter.ToYaml(parts.Recipe), parts.Model.Parameters.Layout.Length, parts.TotalSteps, parts.TokensPerStep,
                parts.State.Progress.Step, flops, ceiling, RunFacts.Of(parts, options.Yardsticks)));
            bool completed;
            try
            {
                completed = Loop(parts, loop, service, writer, options, tell, cancellation);
            }
            catch (PerennialException) when (loop.IsStopped)
            {
                loop.ReturnToSavePoint();
                Save(parts, writer, tell);
                throw;
            }
            if (!completed) loop.ReturnToSavePoint();
            else if (service.BitsPerByte is null) Evaluate(parts, service, tell, withSamples: false);
            Save(parts, writer, tell);
            var speed = loop.Work.Seconds > 0 ? loop.Work.Tokens / loop.Work.Seconds : 0;
            var result = new RunResult
            {
                Completed = completed,
                Step = parts.State.Progress.Step,
                Tokens = parts.State.Progress.Tokens,
                Loss = parts.State.Progress.LastLoss,
                BitsPerByte = service.BitsPerByte,
                TokensPerSecond = speed,
                Mfu = ceiling > 0 ? speed * flops / ceiling : 0,
                StateHash = parts.HashState(),
            };
            MemoryEstimate.Compare(parts, line => tell(new Notice("info", line)));
            tell(new RunFinished(result));
            return result;
        }
        finally
        {
            loop.Release();
        }
    }

    /// <summary>Makes the present step durable, unless it is already.</summary>
    private static void Save(RunParts parts, CheckpointWriter writer, Action<RunEvent> tell)
    {
        if (writer.Finish() is { } earlier) tell(earlier);
        if (writer.DurableStep == parts.State.Progress.Step) return;
        foreach (var written in writer.Begin()) tell(written);
        if (writer.Finish() is { } last) tell(last);
    }

    private static bool Loop(RunParts parts, TrainingLoop loop, HeldOutService service, CheckpointWriter writer, TrainingRunOptions options, Action<RunEvent> tell, CancellationToken cancellation)
    {
        var evaluateEvery = parts.Recipe.Evaluation.Every.ToSteps(parts.TotalSteps, parts.TokensPerStep);
        var checkpointEvery = parts.Recipe.Resilience.Checkpoint.ToSteps(parts.TotalSteps, parts.TokensPerStep);
        var due = false;
        while (parts.State.Progress.Step < parts.TotalSteps)
        {
            if (cancellation.IsCancellationRequested || parts.State.Progress.Step >= options.StopAtStep) return false;
            loop.Step(parts.State.Progress.Step - Math.Max(0, writer.DurableStep));
            if (writer.Poll() is { } finished) tell(finished);
            var step = parts.State.Progress.Step;
            due |= checkpointEvery > 0 && step % checkpointEvery == 0;
            if (due && loop.IsSavePoint && step < parts.TotalSteps)
            {
                foreach (var written in writer.Begin()) tell(written);
                due = false;
            }
            if (step == parts.TotalSteps || (evaluateEvery > 0 && step % evaluateEvery == 0))
            {
                Evaluate(parts, service, tell, withSamples: true);
                TorchRuntime.ReleaseFreeMemory();
            }
        }
        return true;
    }

    private static void Evaluate(RunParts parts, HeldOutService service, Action<RunEvent> tell, bool withSamples)
    {
        var progress = parts.State.Progress;
        var context = new PracticeContext(parts.Model, progress.Step, parts.TotalSteps, parts.TokensPerStep, parts.Recipe.Seed, service);
        if (!parts.Practices.OfType<EvaluatePractice>().Any()) service.Evaluate("raw");
        foreach (var practice in parts.Practices) practice.AtInterval(context);
        if (!withSamples) return;
        foreach (var prompt in parts.Recipe.Evaluation.Prompts) tell(new SampleWritten(progress.Step, prompt, SampleText.Write(parts, prompt)));
        var delivered = parts.Delivered(progress.Cursor);
        if (delivered.Count < 2) return;
        var (total, weights) = ((double)Math.Max(1, delivered.Sum()), parts.Recipe.Data.Sources.Sum(source => source.Weight));
        tell(new MixtureMeasured(progress.Step, [.. delivered.Select((count, i) =>
            new MixtureShare(parts.Recipe.Data.Sources[i].Path, parts.Recipe.Data.Sources[i].Weight / weights, count / total, count * parts.Config.Context))]));
    }

    /// <summary>Loads the newest whole checkpoint, if any, and says which.</summary>
    private static long Resume(RunParts parts, CheckpointStore store, Action<RunEvent> tell)
    {
        if (store.Newest(reason => tell(new Notice("warning", reason))) is not { } newest) return -1;
        CheckpointFiles.Read(newest.Folder, parts.State, parts.Config);
        parts.Model.ParametersChanged();
        tell(new Notice("info", $"resuming from {newest.Folder} (step {newest.Step})"));
        return newest.Step;
    }
}
