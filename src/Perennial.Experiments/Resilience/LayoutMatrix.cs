using System.ComponentModel.DataAnnotations;
using Perennial.Core;
using Perennial.Experiments.Measured;
using Perennial.Training.Parallel;

namespace Perennial.Experiments.Resilience;

/// <summary>Options of <see cref="LayoutMatrix"/>.</summary>
public sealed record LayoutMatrixOptions
{
    /// <summary>Parallel shapes; each is saved, and loaded under each other one.</summary>
    [MinLength(2)]
    public IReadOnlyList<string> Shapes { get; init; } =
    [
        "data=1", "data=2", "data=4,zero=1", "data=3,zero=1", "tensor=2", "tensor=4", "pipeline=2", "pipeline=4", "data=2,tensor=2", "data=2,pipeline=2", "tensor=2,pipeline=2,zero=0", "data=2,tensor=2,pipeline=2,zero=1",
    ];

    /// <summary>Width of the decoder: 64 for many pairs, 512 for a state large enough that what is read beside the needed bytes says something.</summary>
    [Range(64, 4096)]
    public int Width { get; init; } = 64;

    /// <summary>Steps before a state is saved.</summary>
    [Range(1, 10_000)]
    public int Steps { get; init; } = 5;
}

/// <summary>
/// Every ordered pair of parallel shapes: trained and saved under one, loaded under the other. Compares logical tensors of weights and optimizer slots
/// by digest, the loss of the next batch, and the bytes read with those needed (paper 47, reproduction 1).
/// </summary>
[Component("layout-matrix")]
public sealed class LayoutMatrix(LayoutMatrixOptions options) : IExperiment
{
    /// <inheritdoc/>
    public ExperimentOutcome Measure(ExperimentContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        var worlds = new List<LocalWorld>();
        try
        {
            worlds.AddRange(options.Shapes.Select(shape => LayoutWorlds.Make(shape, context.Seed, options.Width)));
            var (unequal, pairs, worst, read, needed) = (0, 0, 0.0, 0L, 0L);
            for (var source = 0; source < worlds.Count; source++)
            {
                context.Cancellation.ThrowIfCancellationRequested();
                // Others have been loaded into it: it begins anew.
                worlds[source].Dispose();
                worlds[source] = LayoutWorlds.Make(options.Shapes[source], context.Seed, options.Width);
                LayoutWorlds.Train(worlds[source], context.Seed, 1, options.Steps);
                var (saved, again) = (Path.Combine(context.Folder, "saved"), Path.Combine(context.Folder, "again"));
                var manifest = LayoutWorlds.Save(worlds[source], saved, options.Steps);
                var next = LayoutWorlds.Batch(context.Seed, options.Steps + 1);
                var loss = worlds[source].Step(next, 0).Loss;
                for (var target = 0; target < worlds.Count; target++)
                {
                    if (target == source) continue;
                    foreach (var load in worlds[target].Load(saved)) (read, needed) = (read + load.BytesRead, needed + load.BytesNeeded);
                    worst = Math.Max(worst, Math.Abs(worlds[target].Step(next, 0).Loss / loss - 1));
                    if (!LayoutWorlds.Equal(manifest, LayoutWorlds.Save(worlds[target], again, options.Steps))) unequal++;
                    pairs++;
                }
                context.Progress.Report((source + 1.0) / worlds.Count);
            }
            return new() { Measures = new Dictionary<string, double> { ["pairs"] = pairs, ["unequal"] = unequal, ["worst-loss-error"] = worst, ["read-over-needed"] = read / (double)needed } };
        }
        finally
        {
            foreach (var world in worlds) world.Dispose();
        }
    }
}
