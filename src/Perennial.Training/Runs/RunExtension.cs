using Perennial.Core;
using Perennial.Optimization;
using Perennial.Resilience;
using Perennial.Training.Checkpoints;
using Perennial.Training.Loop;
using Perennial.Training.Recipes;
using Perennial.Training.State;

namespace Perennial.Training.Runs;

/// <summary>
/// How a run goes on whose plan was made longer. Where the schedule ends in a decay, the run goes on from the state before it, and what was decayed since is kept aside
/// under <c>annealed/</c>; a finished run of a schedule without such a state (cosine, linear) warms up and decays again.
/// </summary>
/// <param name="From">The checkpoint to go on from.</param>
/// <param name="EarlierSteps">Steps of the last stage in the earlier plan.</param>
/// <param name="BeginsAgain">Whether the schedule begins again after the earlier plan.</param>
/// <param name="Words">What people are told.</param>
internal sealed record RunExtension(CheckpointEntry From, long EarlierSteps, bool BeginsAgain, string Words)
{
    /// <summary>Steps of the last stage in a recipe.</summary>
    public static long StepsOf(Recipe recipe, RunParts parts)
    {
        var stages = StageRecipe.Of(recipe);
        return RunStage.StepsOf(stages.Count - 1, stages[^1], parts.TokensPerStep);
    }

    /// <summary>What a longer plan asks for; null where nothing changes.</summary>
    /// <param name="parts">The run with its new plan.</param>
    /// <param name="folder">Its folder.</param>
    /// <param name="newest">Its newest checkpoint.</param>
    /// <param name="earlierSteps">Steps of the last stage in the plan that the checkpoints were made with.</param>
    /// <param name="warn">Told where the right state is gone.</param>
    public static RunExtension? Plan(RunParts parts, RunFolder folder, CheckpointEntry newest, long earlierSteps, Action<string> warn)
    {
        var last = parts.Stages[^1];
        var progress = CheckpointFiles.ReadProgress(newest.Folder);
        var done = progress.Step - progress.StageStart;
        if (last.Steps <= earlierSteps || progress.Stage != last.Index || done == 0) return null;
        var plan = new SchedulePlan(earlierSteps, parts.TokensPerStep) { FirstTotal = progress.FirstTotal, EarlierTotals = progress.EarlierTotals };
        var trunk = last.Schedule.TrunkEnd(plan);
        if (trunk >= earlierSteps)
            return done < earlierSteps ? null : new(newest, earlierSteps, true, $"the finished run goes on from its last step {newest.Step}, as its schedule has no decay that could be left out");
        if (done <= trunk) return null;
        if (folder.Checkpoints.List().FirstOrDefault(entry => entry.Step <= progress.StageStart + trunk && entry.Step > progress.StageStart && CheckpointStore.Problem(entry) is null) is { } before)
            return new(before, earlierSteps, false, $"the longer run goes on from step {before.Step}, before the decay of the earlier plan; checkpoints of the decay are kept under {folder.Annealed}");
        warn($"the longer run should go on from before step {progress.StageStart + trunk + 1}, where the earlier plan's decay began, but no checkpoint is left from there: it goes on from the decayed state of step {newest.Step}, and the rate rises again");
        return null;
    }

    /// <summary>Puts later checkpoints aside. Called again after a kill it finds them where they are.</summary>
    public void Apply(RunFolder folder)
    {
        foreach (var later in folder.Checkpoints.List().Where(entry => entry.Step > From.Step).ToList())
        {
            Directory.CreateDirectory(folder.Annealed);
            var target = Path.Combine(folder.Annealed, Path.GetFileName(later.Folder));
            if (Directory.Exists(target)) Directory.Delete(target, recursive: true);
            Directory.Move(later.Folder, target);
        }
    }

    /// <summary>Ends of finished plans, this one included where the schedule begins again.</summary>
    public IReadOnlyList<long> EarlierTotals(Progress progress) => BeginsAgain && !progress.EarlierTotals.Contains(EarlierSteps) ? [.. progress.EarlierTotals, EarlierSteps] : progress.EarlierTotals;
}
