using Perennial.Core;
using Perennial.Core.Recipes;
using Perennial.Training.Recipes;

namespace Perennial.Training.Runs;

/// <summary>What <c>verify-resume</c> found.</summary>
/// <param name="Steps">Steps of the proof.</param>
/// <param name="Stops">Steps at which the interrupted run was stopped and started again.</param>
/// <param name="Uninterrupted">State hash of the run that was let through.</param>
/// <param name="Interrupted">State hash of the run that was stopped and resumed.</param>
public sealed record ResumeProof(long Steps, IReadOnlyList<long> Stops, string Uninterrupted, string Interrupted)
{
    /// <summary>Whether resuming is exact for this recipe.</summary>
    public bool IsExact => Uninterrupted == Interrupted;

    /// <summary>Trains a shortened copy of a recipe twice, once let through and once stopped several times, and compares the states bit for bit.</summary>
    /// <param name="components">Components that recipes may name.</param>
    /// <param name="recipe">The recipe.</param>
    /// <param name="steps">Steps of the proof; at least 4.</param>
    /// <param name="workFolder">Where the two runs go; removed afterwards.</param>
    /// <param name="tell">Takes progress lines.</param>
    /// <param name="cancellation">Stops between steps.</param>
    /// <exception cref="PerennialException">As training would.</exception>
    public static ResumeProof Run(ComponentRegistry components, Recipe recipe, long steps, string workFolder, Action<string> tell, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(recipe);
        ArgumentNullException.ThrowIfNull(tell);
        // Every stage gets its part, so that the proof goes over every boundary.
        if (recipe.Stages.Count > 0)
        {
            var trained = recipe.Stages.Count(stage => stage.From is null);
            var part = Math.Max(2, steps / trained);
            recipe = recipe with { Stages = [.. recipe.Stages.Select(stage => stage.From is null ? stage with { Steps = part, Tokens = null } : stage)] };
            steps = part * trained;
        }
        var every = Math.Max(2, steps / 3);
        var shortened = recipe with
        {
            Training = recipe.Training with { Steps = steps, Tokens = null },
            Resilience = recipe.Resilience with { Checkpoint = SavingInterval.Steps(every), Keep = 2 },
            Evaluation = recipe.Evaluation with { Every = RunLength.None, Prompts = [] },
        };
        var run = new TrainingRun(components);
        try
        {
            tell($"running {steps} steps without interruption");
            var through = run.Execute(shortened, new TrainingRunOptions { RunFolder = Path.Combine(workFolder, "through") }, [], cancellation);
            long[] stops = [1, steps / 2, steps - 1];
            foreach (var stop in stops)
            {
                cancellation.ThrowIfCancellationRequested();
                tell($"running to step {stop}, then stopping");
                run.Execute(shortened, new TrainingRunOptions { RunFolder = Path.Combine(workFolder, "stopped"), StopAtStep = stop }, [], cancellation);
            }
            tell("going on to the end");
            var resumed = run.Execute(shortened, new TrainingRunOptions { RunFolder = Path.Combine(workFolder, "stopped") }, [], cancellation);
            return new ResumeProof(steps, stops, through.StateHash, resumed.StateHash);
        }
        finally
        {
            if (Directory.Exists(workFolder)) Directory.Delete(workFolder, recursive: true);
        }
    }
}
