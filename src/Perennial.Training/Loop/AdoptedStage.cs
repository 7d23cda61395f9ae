using Perennial.Core;
using Perennial.Core.Safetensors;
using Perennial.Resilience;
using Perennial.Tensors;
using Perennial.Training.Checkpoints;
using static TorchSharp.torch;

namespace Perennial.Training.Loop;

/// <summary>A finished stage that comes from another run.</summary>
internal static class AdoptedStage
{
    /// <summary>Samples that practices are told of at one time.</summary>
    public const long Piece = 4096;

    /// <summary>Fills weights, and the optimizer's slots where the checkpoint has them.</summary>
    /// <returns>How many samples of the stage's stream count as read: what the checkpoint's run read, or once all of it where that is not known.</returns>
    /// <exception cref="PerennialException">Exit 2: there is no such checkpoint, or of another model or tokenizer. Exit 3: it is damaged.</exception>
    public static long Load(string path, RunParts parts, IPracticeServices services)
    {
        var folder = Locate(path, reason => services.Notify("warning", reason));
        InitialWeights.Load(folder, parts.Model, parts.Data.Tokenizer, parts.Recipe.Seed);
        var slots = Path.Combine(folder, CheckpointFiles.SlotsFile);
        if (!File.Exists(slots))
        {
            services.Notify("warning", $"{folder} has no optimizer state: moments begin at zero");
            return parts.Stream.SamplesPerEpoch;
        }
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        using var file = SafetensorsFile.Open(slots);
        var known = file.Entries.Select(entry => entry.Name).ToHashSet(StringComparer.Ordinal);
        var progress = CheckpointFiles.ReadProgress(folder);
        if (parts.Optimizer.Slots.All(slot => known.Contains(slot.Name)))
        {
            foreach (var slot in parts.Optimizer.Slots) file.ReadInto(slot.Name, slot.Values);
            // The optimizer counts on from its own steps.
            parts.State.Progress = parts.State.Progress with { OptimizerStart = progress.OptimizerStart - progress.Step };
        }
        else
            services.Notify("warning", $"{folder} was trained with another optimizer: moments begin at zero");
        services.Notify("info", $"stage '{parts.Stage.Recipe.Name}' is taken over from {folder}: {progress.Tokens} tokens behind it");
        // A checkpoint between two stages has read nothing of the next yet.
        return progress.Cursor == 0 && progress.Finished.Count > 0 ? progress.Finished[^1] : progress.Cursor;
    }

    /// <summary>The checkpoint folder that a path means: itself, or a run folder's newest whole one.</summary>
    /// <exception cref="PerennialException">Exit 2: there is no such folder. Exit 3: no checkpoint of the run is whole.</exception>
    public static string Locate(string path, Action<string> warn)
    {
        if (!Directory.Exists(path)) throw PerennialException.Usage($"stages.0.from: {path}: no such folder; give a run folder or a checkpoint");
        var store = new CheckpointStore(Path.Combine(path, "checkpoints"));
        return !Directory.Exists(store.Root) ? path : store.Newest(warn)?.Folder ?? throw PerennialException.Damaged($"{store.Root}: holds no whole checkpoint; train that run again");
    }
}
