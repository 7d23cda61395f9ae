using System.ComponentModel.DataAnnotations;
using System.IO.Hashing;
using System.Text;
using System.Text.Json.Nodes;
using Perennial.Core;
using Perennial.Core.Recipes;
using Perennial.Evaluation.Events;
using Perennial.Experiments.Measured;
using Perennial.Experiments.Runs;
using Perennial.Training;
using Perennial.Training.Recipes;

namespace Perennial.Experiments.Resilience;

/// <summary>Options of <see cref="LaunchedRun"/>.</summary>
public sealed record LaunchedRunOptions
{
    /// <summary>Processes.</summary>
    [Range(2, 64)]
    public int Workers { get; init; } = 4;

    /// <summary>Nodes that the processes are spread over; 1 for one machine without more.</summary>
    [Range(1, 64)]
    public int Nodes { get; init; } = 1;

    /// <summary>Faults, as <c>launch --chaos</c> takes them; the trial's seed is added.</summary>
    public required string Chaos { get; init; }

    /// <summary>Seconds until a dead worker's place is taken.</summary>
    [Range(0.0, 3600.0)]
    public double Respawn { get; init; } = 1;

    /// <summary>Seconds that one launched run may take.</summary>
    [Range(1.0, 86400.0)]
    public double Limit { get; init; } = 600;
}

/// <summary>
/// Launches a recipe with several real processes, kills some of them, and compares with the same launch unfailed: the loss curve's deviation, the
/// final state's hash, samples lost or seen twice, and the seconds of every recovery.
/// </summary>
[Component("launched-run")]
public sealed class LaunchedRun(LaunchedRunOptions options) : IExperiment
{
    /// <inheritdoc/>
    public ExperimentOutcome Measure(ExperimentContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        if (context.Recipe is null) throw PerennialException.Usage("experiment 'launched-run' launches the paper's recipe; name one with 'recipe'");
        var failed = Launch(context, context.Folder, context.Recipe, $"{options.Chaos},seed={context.Seed}");
        context.Progress.Report(0.5);
        var reference = Reference(context);
        return Compare(failed, reference);
    }

    /// <summary>The same launch without faults. Arms share it: it is made once, beside their folders.</summary>
    private Launched Reference(ExperimentContext context)
    {
        var recipe = context.Recipe!.With("resilience.policy", "elastic");
        var yaml = RecipeWriter.ToYaml(new RecipeLoader(context.Components).Bind(recipe));
        var name = Convert.ToHexStringLower(XxHash64.Hash(Encoding.UTF8.GetBytes($"{options.Workers} {options.Nodes}\n{yaml}")));
        var folder = Path.Combine(Path.GetDirectoryName(context.Folder) ?? ".", $"unfailed-{name}");
        return File.Exists(Path.Combine(folder, Launched.FileName)) ? Launched.Load(folder) : Launch(context, folder, recipe, null);
    }

    private Launched Launch(ExperimentContext context, string folder, RecipeNode recipe, string? chaos)
    {
        Directory.CreateDirectory(folder);
        var (file, run) = (Path.Combine(folder, "recipe.yaml"), Path.Combine(folder, "run"));
        AtomicFile.WriteText(file, RecipeWriter.ToYaml(new RecipeLoader(context.Components).Bind(recipe)));
        List<string> arguments = ["launch", "--workers", $"{options.Workers}", file, "--run", run, "--fresh", "--json", "--respawn", FormattableString.Invariant($"{options.Respawn}")];
        if (options.Nodes > 1) arguments.AddRange(["--nodes", $"{options.Nodes}"]);
        if (chaos is not null) arguments.AddRange(["--chaos", chaos]);
        var result = context.Program.Run(arguments, TimeSpan.FromSeconds(options.Limit), context.Cancellation);
        if (result.ExitCode != 0) throw PerennialException.Failed($"{folder}: the launched run ended with {result.ExitCode}: {string.Join(" | ", result.Errors.TakeLast(3))}");
        var launched = Launched.Read(run, result.Output);
        if (chaos is not null && launched.Recoveries == 0) throw PerennialException.Failed($"{folder}: no fault hit the run ({launched.Faults} made) before it ended; take more steps or a shorter time between faults");
        launched.Save(folder);
        return launched;
    }

    private static ExperimentOutcome Compare(Launched failed, Launched unfailed)
    {
        var difference = failed.Losses.Zip(unfailed.Losses, (one, other) => Math.Abs(one - other)).ToList();
        // Before the first fault both are the same run.
        var first = difference.FindIndex(value => value > 0);
        var after = first < 0 ? difference : difference[first..];
        return new()
        {
            Measures = new Dictionary<string, double>
            {
                ["deviation"] = after.Average(), ["largest-deviation"] = after.Max(), ["held-out-difference"] = Math.Abs(failed.BitsPerByte - unfailed.BitsPerByte),
                ["equal-hash"] = failed.StateHash == unfailed.StateHash ? 1 : 0, ["lost-samples"] = failed.LostSamples, ["wrong-steps"] = failed.WrongSteps, ["faults"] = failed.Faults,
                ["recovery-seconds"] = failed.FaultToStep, ["progress-seconds"] = failed.FaultToProgress, ["group-seconds"] = failed.Group, ["agree-seconds"] = failed.Agree, ["move-seconds"] = failed.Move,
            },
            Curves =
            [
                new("Deviation of the loss from the unfailed run (mean of ten steps)", "step", "|difference|, nats",
                    [.. difference.Chunk(10).Select((chunk, i) => new CurvePoint(10 * i + 10, chunk.Average()))]),
            ],
            Tokens = failed.Tokens, Parameters = failed.Parameters, Flops = failed.FlopsPerToken * failed.Tokens,
        };
    }
}
