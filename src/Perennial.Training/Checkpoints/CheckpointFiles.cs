using Perennial.Core;
using Perennial.Core.Safetensors;
using Perennial.Data;
using Perennial.Models;
using Perennial.Models.HuggingFace;
using Perennial.Tensors;
using Perennial.Training.State;
using static TorchSharp.torch;

namespace Perennial.Training.Checkpoints;

/// <summary>
/// The files of a checkpoint: a Hugging Face folder (<c>config.json</c>, <c>model.safetensors</c>, <c>tokenizer.json</c>), <c>state/</c>
/// for exact resume (<c>slots.safetensors</c>, <c>progress.json</c>), and one Hugging Face folder for each exported average.
/// </summary>
public static class CheckpointFiles
{
    private const string SlotsFile = "state/slots.safetensors";
    private const string ProgressFile = "state/progress.json";

    /// <summary>Writes a snapshot. Touches only memory that the snapshot owns: may run beside training.</summary>
    /// <param name="folder">An empty folder.</param>
    /// <param name="snapshot">The copied state.</param>
    /// <param name="config">The model's configuration.</param>
    /// <param name="tokenizer">The tokenizer.</param>
    /// <param name="exports">Names of slots to write as models of their own, with the folder's name for each.</param>
    public static void Write(string folder, StateSnapshot snapshot, DecoderConfig config, ITokenizer tokenizer, IReadOnlyList<(string Slot, string Name)> exports)
    {
        ArgumentNullException.ThrowIfNull(snapshot);
        ArgumentNullException.ThrowIfNull(tokenizer);
        ArgumentNullException.ThrowIfNull(exports);
        WriteModel(folder, snapshot.Layout, snapshot.Parameters, config, tokenizer);
        foreach (var (slot, name) in exports)
        {
            var export = Directory.CreateDirectory(Path.Combine(folder, name)).FullName;
            WriteModel(export, snapshot.Layout, snapshot.Slots.Single(candidate => candidate.Name == slot).Values, config, tokenizer);
        }
        Directory.CreateDirectory(Path.Combine(folder, "state"));
        SafetensorsWriter.Write(Path.Combine(folder, SlotsFile), snapshot.Slots.Select(slot => slot.Values.ToSafetensors(slot.Name)));
        AtomicFile.WriteText(Path.Combine(folder, ProgressFile), ProgressJson.Write(snapshot.Progress!) + "\n");
    }

    /// <summary>Writes a Hugging Face folder.</summary>
    public static void WriteModel(string folder, FlatLayout layout, Tensor values, DecoderConfig config, ITokenizer tokenizer)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        WeightFiles.Write(layout, values, folder);
        ConfigJson.Write(config, folder);
        tokenizer.Save(folder);
    }

    /// <summary>Reads a checkpoint back into a state, proving that every parameter and slot was filled exactly once.</summary>
    /// <exception cref="PerennialException">Exit 3: damaged, or of another model or optimizer.</exception>
    public static void Read(string folder, TrainingState state, DecoderConfig config)
    {
        ArgumentNullException.ThrowIfNull(state);
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        WeightFiles.Read(folder, config, state.Parameters.Layout, state.Parameters.Values);
        var path = Path.Combine(folder, SlotsFile);
        using (var file = SafetensorsFile.Open(path))
        {
            var unread = file.Entries.Select(entry => entry.Name).ToHashSet(StringComparer.Ordinal);
            foreach (var slot in state.Slots)
            {
                if (!unread.Remove(slot.Name)) throw PerennialException.Damaged($"{path}: lacks slot '{slot.Name}', which this recipe's optimizer or practices need");
                var entry = file[slot.Name];
                if (!entry.Shape.SequenceEqual(slot.Values.shape)) throw PerennialException.Damaged($"{path}: slot '{slot.Name}' has shape [{string.Join(", ", entry.Shape)}] instead of [{string.Join(", ", slot.Values.shape)}]");
                file.ReadInto(slot.Name, slot.Values);
            }
            if (unread.Count > 0) throw PerennialException.Damaged($"{path}: holds slots that this recipe does not use: {string.Join(", ", unread.Order(StringComparer.Ordinal))}");
        }
        state.Progress = ReadProgress(folder);
    }

    /// <summary>The progress of a checkpoint.</summary>
    /// <exception cref="PerennialException">Exit 3: missing or damaged.</exception>
    public static Progress ReadProgress(string folder)
    {
        var path = Path.Combine(folder, ProgressFile);
        return File.Exists(path) ? ProgressJson.Read(File.ReadAllText(path), path) : throw PerennialException.Damaged($"{path}: is missing");
    }
}
